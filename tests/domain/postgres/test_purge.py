"""The purge: every step goes on until nothing is left, whatever happens to the others."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from structlog.testing import capture_logs

from local.stack import Stack
from tests.support.client import ApiClient, SignedUpPerson, problem_code, wait_until
from tests.workers.test_relay import get_outbox

pytestmark = pytest.mark.usefixtures("django_db_access")


def run_purge() -> dict[str, Any]:
    """Runs the purge in this process; returns its last log line."""
    from workers import purge

    with capture_logs() as lines:
        purge.purge_expired()
    return {**lines[-1], "errors": [line["rows"] for line in lines if line["log_level"] == "error"]}


@pytest.fixture
def expired(api: ApiClient) -> SignedUpPerson:
    """A person with ten expired sessions of one time and ten of another, and old outbox entries."""
    from django.db.models.functions import Now

    from domain.postgres.models import Session

    person = api.sign_up()
    person.wait_for_outbox()
    get_outbox(person).update(finished_at=Now() - timedelta(days=8))
    for day in (1, 2):
        Session.objects.bulk_create(
            Session(
                person_id=person.id,
                digest=f"{person.id} {day} {n}".encode(),
                expires_at=Now() - timedelta(days=day),
            )
            for n in range(10)
        )
    return person


def count_expired(person: SignedUpPerson) -> int:
    from django.db.models.functions import Now

    from domain.postgres.models import Session

    return Session.objects.filter(person_id=person.id, expires_at__lt=Now()).count()


@contextmanager
def other_transaction(stack: Stack, statement: str) -> Iterator[None]:
    """Keeps a transaction open that has executed a statement."""
    with psycopg.connect(stack.environment()["DATABASE_URL"]) as connection:
        connection.execute(statement.encode())
        yield
        connection.rollback()


def test_a_run_deletes_batch_after_batch_until_nothing_is_left(
    expired: SignedUpPerson, monkeypatch: pytest.MonkeyPatch
):
    from domain.postgres import purge

    monkeypatch.setattr(purge, "_BATCH_SIZE", 3)
    rows = run_purge()["rows"]
    assert rows["sessions"] >= 20
    assert rows["outbox_entries"] >= 3
    assert count_expired(expired) == get_outbox(expired).count() == 0
    assert expired.profile().status_code == 200


def test_a_step_ends_when_its_time_is_over_and_the_next_run_goes_on(
    expired: SignedUpPerson, monkeypatch: pytest.MonkeyPatch
):
    from domain.postgres import purge as batches
    from workers import purge

    with monkeypatch.context() as patch:
        patch.setattr(batches, "_BATCH_SIZE", 15)
        patch.setattr(purge, "_STEP_BUDGET", 0)
        assert run_purge()["rows"]["sessions"] == 15
    assert run_purge()["rows"]["sessions"] >= 5
    assert count_expired(expired) == 0


def test_a_step_that_times_out_ends_no_other_and_is_counted(
    stack: Stack, expired: SignedUpPerson, monkeypatch: pytest.MonkeyPatch
):
    from domain.metrics.registry import PURGE_ERRORS
    from domain.postgres import purge

    monkeypatch.setattr(purge, "_STATEMENT_TIMEOUT", 0.3)
    errors = PURGE_ERRORS.labels("outbox_entries")._value.get()
    lock = "LOCK rollcall_outboxentry IN ACCESS EXCLUSIVE MODE"
    with other_transaction(stack, lock):
        result = run_purge()
    assert "outbox_entries" in result["errors"]
    assert PURGE_ERRORS.labels("outbox_entries")._value.get() == errors + 1
    assert result["rows"]["sessions"] >= 20
    assert get_outbox(expired).count() == 3
    assert not run_purge()["errors"]
    assert get_outbox(expired).count() == 0


def test_only_one_process_purges(stack: Stack, expired: SignedUpPerson):
    from domain.postgres.locks import _to_id

    with other_transaction(stack, f"SELECT pg_advisory_xact_lock({_to_id('purge')})"):
        assert run_purge()["rows"] == {}
        assert count_expired(expired) == 20
    run_purge()
    assert count_expired(expired) == 0


def test_rows_that_a_transaction_has_locked_are_left_to_the_next_run(
    stack: Stack, api: ApiClient, expired: SignedUpPerson
):
    from django.db.models.functions import Now

    from domain.postgres.models import Person, Session

    others = [api.sign_up() for _ in range(2)]
    for person in others:
        person.wait_for_outbox()
    people = Person.objects.filter(id__in=[person.id for person in others])
    people.update(created_at=Now() - timedelta(days=8))
    locked = Session.objects.filter(person_id=expired.id).latest("id")
    with other_transaction(
        stack,
        f"SELECT FROM rollcall_session WHERE id = {locked.pk} FOR UPDATE;"
        f" SELECT FROM rollcall_person WHERE id = '{others[0].id}' FOR NO KEY UPDATE",
    ):
        run_purge()
        assert count_expired(expired) == 1
        assert str(people.get().id) == others[0].id
    run_purge()
    assert count_expired(expired) == people.count() == 0


@pytest.mark.parametrize("is_available", [True, False], ids=["available", "unavailable"])
def test_erased_people_become_tombstones_in_redis(stack: Stack, api: ApiClient, is_available: bool):
    """At once; if Redis is unavailable, when it is back."""
    from django.db.models.functions import Now

    from domain.postgres.models import OutboxEntry, Person
    from domain.profile import redis_key
    from tests.support.profile_redis import get_client

    person = api.sign_up()
    person.wait_for_outbox()
    Person.objects.filter(id=person.id).update(created_at=Now() - timedelta(days=8))
    if not is_available:
        stack.services["profiles"].stop()
    try:
        run_purge()
        state = OutboxEntry.State.DONE if is_available else OutboxEntry.State.QUEUED
        assert get_outbox(person).get().state == state
    finally:
        if not is_available:
            stack.services["profiles"].start()
    wait_until(lambda: get_outbox(person).get().state == OutboxEntry.State.DONE)
    assert get_client().hget(redis_key(UUID(person.id)), b"b") == b""
    assert problem_code(person.profile()) == "invalid_token"
