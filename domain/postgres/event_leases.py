"""Leases events to who delivers them, in the order of each person.

Every function is one statement. Due events are selected by their state, never by "id greater than
the last". Of a person only the first pending event is leased; the owner of that lease goes on with
the next one. An event that waits for another is postponed until then, so that the queries for due
events do not find it again and again.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from django.conf import settings

from domain.postgres.sql import fetch_all

GIVE_UP_AFTER = timedelta(days=3)  # since the first attempt

_COLUMNS = """event.id, event.lease_token, event.kind, event.person_id, event.version,
    event.session_id, event.created_at, event.attempts"""
_LEASE = """lease_token = %(token)s, due_at = now() + %(lease)s, attempts = attempts + 1,
    first_attempted_at = coalesce(first_attempted_at, now())"""
_LEASE_DUE = f"""
    WITH due AS MATERIALIZED (
        SELECT id, person_id FROM rollcall_event
        WHERE state = 'pending' AND due_at <= now()
        ORDER BY due_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    ), ordered AS MATERIALIZED (
        SELECT id, (
            SELECT due_at FROM rollcall_event AS earlier
            WHERE earlier.person_id = due.person_id AND state = 'pending' AND earlier.id < due.id
            ORDER BY earlier.id LIMIT 1
        ) AS blocked_until FROM due
    ), postponed AS (
        UPDATE rollcall_event AS event
        SET due_at = greatest(blocked_until, now() + %(lease)s), lease_token = NULL
        FROM ordered WHERE event.id = ordered.id AND blocked_until IS NOT NULL RETURNING event.id
    ), leased AS (
        UPDATE rollcall_event AS event SET {_LEASE}
        FROM ordered WHERE event.id = ordered.id AND blocked_until IS NULL RETURNING {_COLUMNS}
    )
    SELECT leased.*, (SELECT count(*) FROM due) FROM leased
    UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, count(*) FROM due
"""  # noqa: S608  # all of it is ours
# Does not skip a row that another process has locked to postpone it: that row would wait until the
# end of its own lease.
_LEASE_NEXT = f"""
    WITH next AS MATERIALIZED (
        SELECT id FROM rollcall_event WHERE id = ANY(ARRAY(
            SELECT (
                SELECT id FROM rollcall_event
                WHERE person_id = person.id AND state = 'pending' ORDER BY id LIMIT 1
            ) FROM unnest(%(person_ids)s::uuid[]) AS person (id)
        )) AND state = 'pending' AND lease_token IS NULL ORDER BY id FOR UPDATE
    )
    UPDATE rollcall_event AS event SET {_LEASE}
    WHERE id = ANY(ARRAY(SELECT id FROM next)) RETURNING {_COLUMNS}
"""  # noqa: S608  # all of it is ours
_RECORD = """
    UPDATE rollcall_event AS event
    SET state = outcome.state, reason_code = outcome.reason_code, lease_token = NULL,
        due_at = now() + make_interval(secs => outcome.delay),
        finished_at = CASE WHEN outcome.state <> 'pending' THEN now() END
    FROM (
        SELECT each.id, each.lease_token, each.reason_code, each.delay,
            CASE WHEN each.reason_code = '' THEN 'delivered'
                WHEN first_attempted_at < now() - %(give_up_after)s THEN 'failed'
                ELSE 'pending' END AS state
        FROM unnest(%(ids)s::bigint[], %(tokens)s::uuid[], %(reasons)s::text[], %(delays)s::float[])
            AS each (id, lease_token, reason_code, delay)
        JOIN rollcall_event ON rollcall_event.id = each.id
    ) AS outcome
    WHERE event.id = outcome.id AND event.lease_token = outcome.lease_token
    RETURNING event.person_id, event.state
"""


class LeasedEvent(NamedTuple):
    """An event that this process alone delivers, for as long as its lease lasts."""

    id: int
    lease_token: UUID
    kind: str
    person_id: UUID
    version: int
    session_id: UUID | None
    created_at: datetime
    attempts: int


class EventOutcome(NamedTuple):
    """How an attempt ended: without a reason the event was delivered; else it is retried after that
    many seconds, or given up three days after its first attempt.
    """

    event: LeasedEvent
    reason_code: str = ""
    delay: float = 0.0


def lease_duration() -> timedelta:
    """Returns how long a lease lasts: longer than an attempt."""
    return settings.OUTBOX_LEASE + timedelta(seconds=settings.EVENT_WEBHOOK_TIMEOUT)


def lease_due(limit: int) -> tuple[list[LeasedEvent], bool]:
    """Looks at up to `limit` due events, the longest due first, and leases those that are the first
    of their person. Returns them, and whether more may be due.
    """
    rows = fetch_all(_LEASE_DUE, {"limit": limit} | _lease_params())
    *leased, (*_, due_count) = sorted(rows, key=lambda row: row[0] is None)
    return [LeasedEvent(*row[:-1]) for row in leased], due_count == limit


def lease_next(person_ids: Sequence[UUID]) -> list[LeasedEvent]:
    """Leases the next pending event of each of these people, due or not, unless it is leased.

    The caller has recorded the end of the one before, in an earlier transaction: so this one sees
    each event that another process may have found blocked by it, and postponed.
    """
    return [
        LeasedEvent(*row)
        for row in fetch_all(_LEASE_NEXT, {"person_ids": list(person_ids)} | _lease_params())
    ]


def record(outcomes: Sequence[EventOutcome]) -> list[tuple[UUID, str]]:
    """Records outcomes; returns person and state of each event whose lease the caller still has."""
    params = {
        "ids": [each.event.id for each in outcomes],
        "tokens": [each.event.lease_token for each in outcomes],
        "reasons": [each.reason_code for each in outcomes],
        "delays": [each.delay for each in outcomes],
        "give_up_after": GIVE_UP_AFTER,
    }
    return fetch_all(_RECORD, params)


def _lease_params() -> dict[str, Any]:
    return {"token": uuid4(), "lease": lease_duration()}
