"""Queries of events for operators: lists, statistics, and replays."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from domain.postgres.models import Event
from domain.postgres.sql import execute, fetch_all, fetch_one
from domain.postgres.statement_timeout import statement_timeout

COUNT_LIMIT = 100_000  # rows; bounds the cost of counting
_BATCH_SIZE = 5_000
_STATEMENT_TIMEOUT = 0.5  # seconds
_COLLECT = """
    SELECT
        (SELECT count(*) FROM (SELECT FROM rollcall_event WHERE state = 'pending' LIMIT %s) AS a),
        (SELECT count(*) FROM (SELECT FROM rollcall_event WHERE state = 'failed' LIMIT %s) AS b),
        coalesce(extract(epoch FROM now() - (
            SELECT min(created_at) FROM rollcall_event WHERE state = 'pending'
        )), 0)::float
"""
# By time, and not by state alone: what is delivered again during the replay was finished later.
_SELECT_FINISHED = """
    (SELECT id, created_at FROM rollcall_event
    WHERE state = '{}' AND created_at >= %(since)s AND finished_at < %(before)s
    ORDER BY created_at LIMIT %(limit)s)
"""
_REPLAY = """
    UPDATE rollcall_event SET state = 'pending', due_at = now(), attempts = 0, reason_code = '',
        first_attempted_at = NULL, finished_at = NULL
    WHERE id = ANY(%s) AND lease_token IS NULL
"""


@dataclass(frozen=True, slots=True)
class EventStats:
    """How many events are not delivered yet, and were given up (up to `COUNT_LIMIT` of each); the
    age of the oldest one that is not delivered, in seconds.
    """

    pending: int
    failed: int
    oldest_age: float


def collect() -> EventStats:
    """Collects the statistics. Raises OperationalError, also after half a second."""
    with statement_timeout(_STATEMENT_TIMEOUT):
        return EventStats(*fetch_one(_COLLECT, [COUNT_LIMIT, COUNT_LIMIT]))


def list_events(state: str | None, person_id: UUID | None, limit: int) -> QuerySet[Event]:
    """Returns the newest events: all, or those in a state, or of a person."""
    rows = Event.objects.all()
    if person_id is not None:
        rows = rows.filter(person_id=person_id)
    if state is not None:
        rows = rows.filter(state=state)
    order = ["-created_at", "-id"] if state and not person_id else ["-id"]
    return rows.order_by(*order)[:limit]


def replay(ids: list[int]) -> int:
    """Has these events delivered again, in their order; those that wait are due at once. Not one
    that is being delivered. Returns how many.
    """
    return execute(_REPLAY, [ids])


def replay_person(person_id: UUID) -> int:
    """Replays all events of a person."""
    return replay(list(Event.objects.filter(person_id=person_id).values_list("id", flat=True)))


def replay_finished(since: datetime | str, states: tuple[str, ...]) -> Iterator[int]:
    """Replays the events since a time that are in one of these final states. Yields how many, after
    each batch, which is a short transaction.
    """
    select = " UNION ALL ".join(_SELECT_FINISHED.format(state) for state in states)
    sql = f"SELECT * FROM ({select}) AS found ORDER BY created_at, id LIMIT %(limit)s"  # noqa: S608  # ours
    (before,) = fetch_one("SELECT now()")
    params: dict[str, Any] = {"since": since, "before": before, "limit": _BATCH_SIZE}
    while rows := fetch_all(sql, params):
        yield replay([event_id for event_id, _ in rows])
        params["since"] = rows[-1][1]
