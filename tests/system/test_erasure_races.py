"""Races with an erasure: nothing of an erased person is written, read or confirmed afterwards."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, cast
from uuid import UUID

import httpx
import pytest

from tests.support.client import (
    ApiClient,
    SignedUpPerson,
    problem_code,
    sign_up_payload,
    wait_until,
)
from tests.support.locks import block_writes

pytestmark = pytest.mark.usefixtures("django_db_access")


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as executor:
        yield executor


def count_rows(person: SignedUpPerson) -> dict[str, int]:
    from domain.postgres.erasure_proof import count_rows_by_table

    return count_rows_by_table(UUID(person.id))


def count_leftovers(person: SignedUpPerson) -> int:
    """Counts rows of an erased person besides the tombstone and its outbox entry."""
    counts = count_rows(person)
    return sum(counts.values()) - counts["Tombstone"] - counts["OutboxEntry"]


def is_waiting_or_done(waiting: Any, future: Future[Any]) -> bool:
    """Returns whether a request has come to the lock of an address, or past it."""
    return future.done() or waiting("advisory") > 0


def test_challenge_that_races_with_its_owners_erasure_leaves_no_row(stack, api, threads):
    from domain.postgres.models import OutboxEntry

    person = api.sign_up()
    assert person.confirm("email").status_code == 200
    person.wait_for_outbox()
    with block_writes(stack, "rollcall_signinchallenge") as waiting:
        challenge = threads.submit(api.request_challenge, email=person.body["email"])
        wait_until(waiting)  # it has found its owner
        erased = threads.submit(person.request, "DELETE", "profile/")
        wait_until(lambda: is_waiting_or_done(waiting, erased))
    assert challenge.result()
    assert erased.result().status_code == 204
    assert count_leftovers(person) == 0
    kinds = set(OutboxEntry.objects.filter(person_id=person.id).values_list("kind", flat=True))
    assert kinds <= {"project_profile"}


def test_challenge_for_an_address_that_was_replaced_meanwhile_leaves_no_row(stack, api, threads):
    person = api.sign_up()
    assert person.confirm("email").status_code == 200
    old, new = person.body["email"], sign_up_payload()["email"]
    assert person.patch({"email": new}).status_code == 200
    code = wait_until(lambda: api.mailbox(new))[0]["code"]

    def replace_and_erase() -> httpx.Response:
        assert person.confirm("email", code).status_code == 200
        response: httpx.Response = person.request("DELETE", "profile/")
        return response

    with block_writes(stack, "rollcall_signinchallenge") as waiting:
        challenge = threads.submit(api.request_challenge, email=old)
        wait_until(waiting)
        erased = threads.submit(replace_and_erase)
        wait_until(lambda: is_waiting_or_done(waiting, erased))
    assert challenge.result()
    assert erased.result().status_code == 204
    assert count_leftovers(person) == 0


def read_body(person_id: UUID) -> bytes | None:
    from domain import profile
    from tests.support.profile_redis import get_client

    return cast(bytes | None, get_client().hget(profile.redis_key(person_id), "b"))


def erase_and_flush(person: SignedUpPerson) -> None:
    """Erases a person, and has Redis lose everything once the tombstone is there."""
    from tests.support.profile_redis import get_client

    assert person.request("DELETE", "profile/").status_code == 204
    wait_until(lambda: count_rows(person)["OutboxEntry"] == 1)
    person.wait_for_outbox()
    get_client().flushdb()


@pytest.mark.parametrize("is_fenced", [False, True], ids=["at once", "once it is fenced again"])
def test_sign_up_that_was_suspended_before_its_write_restores_nobody(api: ApiClient, is_fenced):
    from datetime import UTC, datetime

    from domain.fence import fence_key
    from domain.postgres import person_queries
    from domain.projection import writer
    from tests.support.profile_redis import get_client

    signed_up_at = datetime.now(UTC)
    person = api.sign_up()
    state = person_queries.get_person(UUID(person.id))
    assert state is not None
    assert state.version == 1
    erase_and_flush(person)
    if is_fenced:
        assert wait_until(lambda: get_client().exists(fence_key()))
    assert not writer.write_profile(state, signed_up_at)
    assert not read_body(UUID(person.id))
    assert wait_until(lambda: person.profile().status_code == 401)


def test_unchanged_first_version_restores_nobody_after_a_flush(api: ApiClient):
    """An update that changes nothing, suspended before its write."""
    from domain.postgres import person_queries
    from domain.projection import writer

    person = api.sign_up()
    state = person_queries.get_person(UUID(person.id))
    assert state is not None
    erase_and_flush(person)
    assert not writer.write_profile(state)
    assert wait_until(lambda: person.profile().status_code == 401)


def test_rebuild_restores_nobody_whose_page_was_read_before(api: ApiClient, monkeypatch):
    from django.db import connection

    from domain.projection import rebuild, writer

    person = api.sign_up()
    person.wait_for_outbox()
    write_profiles = writer.write_profiles
    before = UUID(int=UUID(person.id).int - 1)

    def erase_first(page: Any) -> int:
        if page[0].id != UUID(person.id):
            return write_profiles(page)
        erase_and_flush(person)
        connection.close()  # of a thread
        written = write_profiles(page)
        assert read_body(UUID(person.id)), "the older state, for a moment"
        return written

    monkeypatch.setattr(writer, "write_profiles", erase_first)
    for _ in rebuild.rebuild(before):
        pass
    assert read_body(UUID(person.id)) == b""
    assert problem_code(person.profile()) == "invalid_token"


def test_code_that_is_entered_while_its_session_is_revoked_confirms_nothing(stack, api, threads):
    """Else who loses a session could still verify an address with it."""
    person = api.sign_up()
    code = person.message("phone")["code"]
    person.wait_for_outbox()
    with block_writes(stack, "rollcall_confirmation") as waiting:
        confirmed = threads.submit(person.confirm, "phone", code)
        wait_until(waiting)  # it is authenticated, and counts the attempt
        assert person.request("DELETE", "sessions/current/").status_code == 204
    response = confirmed.result()
    assert (response.status_code, problem_code(response)) == (401, "invalid_token")
    from domain.postgres.models import Person

    assert Person.objects.get(id=person.id).phone_verified_at is None
