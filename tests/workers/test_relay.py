"""Outbox, relay and workers: no message is lost when a process is killed."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from uuid import UUID

import httpx
import pytest

from local.stack import Stack
from tests.conftest import LONG
from tests.support.client import ApiClient, SignedUpPerson, wait_until
from tests.support.faults import suspended

KILLS = 3 if LONG else 1  # while people sign up


def get_outbox(person: SignedUpPerson):
    from domain.postgres.models import OutboxEntry

    return OutboxEntry.objects.filter(person_id=person.response.json()["id"])


def get_outcomes(person: SignedUpPerson) -> set[tuple[str, str, str]]:
    return set(get_outbox(person).values_list("kind", "state", "reason_code"))


ALL_DONE = {("project_profile", "done", ""), ("confirmation", "done", "")}


def test_every_outbox_entry_is_done_after_a_sign_up(django_db_access, api: ApiClient):
    person = api.sign_up()
    assert wait_until(lambda: get_outcomes(person) == ALL_DONE)


def test_killed_worker_loses_no_message(stack, django_db_access, api: ApiClient):
    with ThreadPoolExecutor(8) as clients:
        signing_up = [clients.submit(api.sign_up) for _ in range(200 if LONG else 16)]
        for _ in range(KILLS):
            wait_until(lambda: any(s.done() for s in signing_up))
            stack.services["worker"].kill()
            stack.services["worker"].start()
        people = [s.result() for s in signing_up]
    stack.services["worker"].kill()
    stack.services["worker"].start()
    for person, channel in itertools.product(people, ("email", "phone")):
        codes = {m["code"] for m in wait_until(lambda: person.messages(channel), timeout=60)}  # noqa: B023  # asked at once
        assert len(codes) == 1, "a message that comes twice has the same code"
    wait_until(lambda: all(get_outcomes(person) == ALL_DONE for person in people), timeout=60)


class Lost(NamedTuple):
    """Those whose tasks were lost while worker and relay were down, and one whose tasks are of
    another version.
    """

    flushed: list[SignedUpPerson]
    outdated: SignedUpPerson


@pytest.fixture(scope="module")
def lost(stack: Stack, django_setup: None) -> Lost:
    """People whose messages nothing but the outbox still has when worker and relay start again."""
    from huey.contrib.djhuey import HUEY
    from huey.registry import Message

    stack.services["worker"].kill()
    stack.services["relay"].kill()
    try:
        with httpx.Client(base_url=stack.url, timeout=20) as client:
            flushed = [ApiClient(client).sign_up() for _ in range(5)]
            outdated = ApiClient(client).sign_up()
        HUEY.storage.flush_queue()
        for entry in get_outbox(outdated):
            task = Message(str(entry.id), "workers.tasks.of_another_version", args=(entry.id,))
            HUEY.storage.enqueue(HUEY.serializer.serialize(task))
    finally:
        stack.services["worker"].start()
        stack.services["relay"].start()
    return Lost(flushed, outdated)


def test_flushed_queue_and_killed_relay_lose_no_message(lost: Lost, django_db_access):
    wait_until(lambda: all(get_outcomes(person) == ALL_DONE for person in lost.flushed))


def test_task_of_another_version_is_logged_and_its_entry_done_all_the_same(
    lost: Lost, stack, django_db_access
):
    wait_until(lambda: get_outcomes(lost.outdated) == ALL_DONE)
    assert "unknown_task" in (stack.data_dir / "logs" / "worker.log").read_text()


def test_owner_gets_a_notice_without_a_code(django_db_access, api: ApiClient):
    owner = api.sign_up()
    assert owner.confirm("phone").status_code == 200
    other = api.sign_up(phone=owner.body["phone"])
    wait_until(lambda: ("confirmation", "done", "owner_notified") in get_outcomes(other))
    messages = owner.messages("phone")
    assert len(messages) == 2
    assert messages[0]["code"] is None
    assert "someone signed up" in messages[0]["text"]
    assert str(other.request("GET", "confirmations/").json()["phone"]["status"]) == "sent"


def test_older_write_never_overwrites_a_newer_profile(django_db_access, api: ApiClient):
    from dataclasses import replace

    from domain.model.person import Person
    from domain.postgres import models, person_queries
    from domain.projection import writer

    person = api.sign_up()
    stored = person_queries.get_person(UUID(person.response.json()["id"]))
    assert isinstance(stored, Person)
    models.Person.objects.filter(id=person.id).update(version=stored.version + 7, name="Grace")
    newer = replace(stored, version=stored.version + 7, name="Grace")
    writer.write_profile(newer)  # unless a worker that projects the sign-up has already
    assert not writer.write_profile(stored)
    assert not writer.write_profile(replace(newer, name="Eve"))
    assert person.profile().json()["name"] == "Grace"


def test_missing_profiles_are_backfilled_without_a_worker(stack, django_db_access, api: ApiClient):
    from tests.support.profile_redis import get_client

    people = [api.sign_up() for _ in range(4)]
    for person in people:
        person.wait_for_outbox()
    changed, remaining, *_ = people
    assert changed.patch({"name": "Grace"}).status_code == 200
    assert remaining.request("DELETE", "profile/").status_code == 204
    with suspended(stack.services["worker"]):
        get_client().flushdb()
        for person in people:
            wait_until(lambda: person.profile().status_code != 503)  # noqa: B023  # asked at once
        assert [person.profile().status_code for person in people] == [200, 401, 200, 200]
        assert changed.profile().json()["name"] == "Grace"


def test_session_revoked_during_a_backfill_is_never_readable(
    django_db_access, api: ApiClient, monkeypatch
):
    from domain.projection import writer
    from domain.projection.redis_command import run_script
    from tests.support.profile_redis import get_client

    person = api.sign_up()
    person.wait_for_outbox()
    statuses: list[int] = []

    def write_late(*arguments):
        """What was read before the sign-out is written when Redis has forgotten it."""
        if not statuses:
            assert person.request("DELETE", "sessions/current/").status_code == 204
            get_client().flushdb()
        written = run_script(*arguments)
        statuses.append(person.profile().status_code)
        return written

    assert person.patch({"name": "Grace"}).status_code == 200
    with monkeypatch.context() as patch:
        patch.setattr("domain.projection.writer.run_script", write_late)
        writer.project(UUID(person.id))
    assert 200 not in statuses
    assert person.profile().status_code == 401
