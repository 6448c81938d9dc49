"""The list of people whose projection Redis may have lost."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tests.support.client import ApiClient, SignedUpPerson
from tests.workers.test_relay import get_outbox

pytestmark = pytest.mark.usefixtures("django_db_access")
MINUTE = timedelta(minutes=1)


def changed_since(since: datetime, limit: int = 100_000) -> list[UUID] | None:
    from domain.postgres.outbox_queries import changed_since

    return changed_since(since, limit)


@pytest.fixture
def finished(api: ApiClient) -> SignedUpPerson:
    """A person whose projection was finished now."""
    person = api.sign_up()
    person.wait_for_outbox()
    return person


def test_people_with_a_later_or_unfinished_projection_are_listed_once(
    api: ApiClient, finished: SignedUpPerson
):
    now = datetime.now(UTC)
    waiting = api.sign_up()
    waiting.wait_for_outbox()
    get_outbox(waiting).update(state="pending", finished_at=None, due_at=now + 60 * MINUTE)
    assert finished.patch({"name": "Grace"}).status_code == 200
    finished.wait_for_outbox()
    recent = changed_since(now - MINUTE) or []
    assert recent.count(UUID(finished.id)) == recent.count(UUID(waiting.id)) == 1
    later = changed_since(now + 60 * MINUTE) or []
    assert UUID(finished.id) not in later
    assert UUID(waiting.id) in later


def test_more_changes_than_the_limit_are_not_listed(finished: SignedUpPerson):
    assert changed_since(datetime.now(UTC) - 60 * MINUTE, limit=0) is None


def test_changes_are_not_listed_if_that_takes_too_long_and_other_statements_are_as_before(
    stack, finished: SignedUpPerson, monkeypatch: pytest.MonkeyPatch
):
    from django.db import connection

    from domain.postgres import outbox_queries

    monkeypatch.setattr(outbox_queries, "_CHANGED_TIMEOUT", 0.2)
    with locked_outbox(stack):
        started_at = time.monotonic()
        assert changed_since(datetime.now(UTC)) is None
        assert time.monotonic() - started_at < 3
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("5s",)
    assert connection.connection.response_timeout == 6


@contextmanager
def locked_outbox(stack) -> Iterator[None]:
    """Keeps others from reading the outbox."""
    import psycopg

    with psycopg.connect(stack.environment()["DATABASE_URL"]) as blocker:
        blocker.execute("LOCK rollcall_outboxentry")
        yield
        blocker.rollback()
