"""The outbox: what is open in Postgres, who may have it, and how it ends.

Every function is one short transaction. Rows are claimed by their state, never by "id greater
than the last": sequences do not commit in order, so that rule skips rows.
"""

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection
from django.db.models import Min
from django.db.models.functions import Now

from domain.stores.models import Outbox

BACKOFF_FIRST = timedelta(seconds=2)
BACKOFF_MOST = timedelta(minutes=2)
RETRY_AFTER_MOST = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Job:
    """An outbox row in the hands of a worker, until its lease ends."""

    id: int
    kind: str
    person_id: UUID | None  # None for a message to nobody
    attempts: int
    lease: UUID


@dataclass(frozen=True, slots=True)
class End:
    """How an outbox row ended: its state, why, and the provider's id of the message."""

    state: Outbox.State
    reason: str = ""
    provider_id: str = ""


def hand_out(limit: int) -> list[int]:
    """Lease up to `limit` due rows, the longest due first; returns their ids."""
    sql = """
        UPDATE stores_outbox SET state = 'queued', due_at = now() + make_interval(secs => %s)
        WHERE id IN (
            SELECT id FROM stores_outbox
            WHERE state IN ('waiting', 'queued', 'working') AND due_at <= now()
            ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED
        ) RETURNING id
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, [settings.OUTBOX_LEASE.total_seconds(), limit])
        return [row[0] for row in cursor.fetchall()]


def seconds_until_due() -> float | None:
    """How long until the next open row may be handed out; None if nothing is open."""
    found = Outbox.objects.filter(state__in=Outbox.OPEN).aggregate(wait=Min("due_at") - Now())
    wait: timedelta | None = found["wait"]
    return max(0.0, wait.total_seconds()) if wait is not None else None


def claim(row_id: int) -> Job | None:
    """Take a row that was handed out, for a lease; None if it is not, or not any more."""
    sql = """
        UPDATE stores_outbox SET state = 'working', lease = %s, attempts = attempts + 1,
            due_at = now() + make_interval(secs => %s)
        WHERE id = %s AND state = 'queued' RETURNING kind, person_id, attempts
    """
    lease = uuid4()
    with connection.cursor() as cursor:
        cursor.execute(sql, [lease, settings.OUTBOX_LEASE.total_seconds(), row_id])
        row = cursor.fetchone()
    if row is None:
        return None
    kind, person_id, attempts = row
    return Job(row_id, kind, person_id, attempts, lease)


def finish(job: Job, end: End) -> None:
    """Close a row for good. Does nothing if another worker has taken it over meanwhile."""
    _held(job).update(
        state=end.state,
        reason=end.reason,
        provider_id=end.provider_id[:200],
        finished_at=Now(),
        lease=None,
    )


def retry_later(job: Job, reason: str, retry_after: float | None = None) -> None:
    """Put a row back, for `retry_after` seconds if the provider named them, else backed off.

    A part of the wait is drawn at random: what failed together does not come back together.
    """
    if retry_after is None:
        wait = min(BACKOFF_FIRST * 2 ** min(job.attempts - 1, 16), BACKOFF_MOST)
        wait *= random.uniform(0.5, 1)  # noqa: S311  # jitter is no secret
    else:
        wait = min(timedelta(seconds=retry_after), RETRY_AFTER_MOST)
        wait *= random.uniform(1, 1.5)  # noqa: S311  # jitter is no secret
    _held(job).update(state=Outbox.State.WAITING, reason=reason, due_at=Now() + wait, lease=None)


def purge(older_than: timedelta, limit: int = 10_000) -> int:
    """Delete up to `limit` rows that were closed longer ago than that; returns how many."""
    old = Outbox.objects.filter(finished_at__lt=Now() - older_than).values("id")[:limit]
    return Outbox.objects.filter(id__in=old).delete()[0]


def _held(job: Job) -> Any:
    return Outbox.objects.filter(id=job.id, lease=job.lease, state=Outbox.State.WORKING)
