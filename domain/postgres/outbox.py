"""The outbox: leases, claims and completes its entries.

Every function is one short transaction. Entries are selected by their state, never by "id greater
than the last": sequences do not commit in order, so that rule skips rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import starmap
from time import monotonic
from uuid import UUID, uuid4

from django.conf import settings
from django.db.models import Min, Model, QuerySet
from django.db.models.functions import Now

from domain.commands.ports import OutboxRef
from domain.metrics.registry import MESSAGE_HANDOVER_DURATION, OUTBOX_ATTEMPTS
from domain.model.backoff import retry_delay
from domain.postgres.models import OutboxEntry
from domain.postgres.sql import fetch_all, fetch_one
from domain.trace_context import current_traceparent

_BACKOFF_INITIAL, _BACKOFF_MAX = 2.0, 120.0  # seconds
# Why a message waits although its provider could be asked: quotas, and what is waited for.
POSTPONED_REASONS = frozenset(
    {
        "address_quota",
        "sms_network_quota",
        "sms_prefix_quota",
        "sms_low_conversion",
        "sms_quota",
        "sms_owner_quota",
        "email_not_confirmed",
        "key_unknown",
    }
)
GIVEN_UP = "given_up"  # the reason of what staff have given up


@dataclass(frozen=True, slots=True)
class LeasedEntry:
    """An outbox entry that a worker has claimed, until its lease expires."""

    id: int
    lease_token: UUID = field(repr=False)
    kind: str
    person_id: UUID | None  # None for a sign-in challenge without a person
    attempts: int
    reason_code: str = ""  # of the last attempt
    created_at: float = field(default_factory=monotonic)  # by this process' clock
    traceparent: str | None = None  # of the request that caused it


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an outbox entry: its final state, the reason, the provider's message id."""

    state: OutboxEntry.State
    reason_code: str = ""
    provider_message_id: str = ""


def add(kind: OutboxEntry.Kind, person_id: UUID | None, **references: Model) -> OutboxRef:
    """Creates an entry with a lease, in the caller's transaction."""
    row = OutboxEntry.objects.create(
        kind=kind,
        person_id=person_id,
        due_at=Now() + settings.OUTBOX_LEASE,
        traceparent=current_traceparent.get(),
        **references,
    )
    return OutboxRef(int(row.pk), kind)


def add_projections(person_ids: Sequence[UUID]) -> list[OutboxRef]:
    """Creates the entries that project these people, in this order, as `add` does."""
    kind = OutboxEntry.Kind.PROJECT_PROFILE
    due_at, traceparent = Now() + settings.OUTBOX_LEASE, current_traceparent.get()
    rows = OutboxEntry.objects.bulk_create(
        OutboxEntry(kind=kind, person_id=person_id, due_at=due_at, traceparent=traceparent)
        for person_id in person_ids
    )
    return [OutboxRef(int(row.pk), kind) for row in rows]


def complete_queued(outbox_refs: Sequence[OutboxRef]) -> None:
    """Finishes projections that were done by who created them; not those that a worker has claimed
    since.
    """
    count = OutboxEntry.objects.filter(
        id__in=[ref.id for ref in outbox_refs], state=OutboxEntry.State.QUEUED
    ).update(state=OutboxEntry.State.DONE, finished_at=Now())
    OUTBOX_ATTEMPTS.labels(OutboxEntry.Kind.PROJECT_PROFILE, OutboxEntry.State.DONE).inc(count)


def lease_due(limit: int) -> list[OutboxRef]:
    """Leases up to `limit` due entries, the longest due first."""
    sql = """
        UPDATE rollcall_outboxentry SET state = 'queued', due_at = now() + make_interval(secs => %s)
        WHERE id IN (
            SELECT id FROM rollcall_outboxentry
            WHERE state IN ('pending', 'queued', 'running') AND due_at <= now()
            ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED
        ) RETURNING id, kind
    """
    rows = fetch_all(sql, [settings.OUTBOX_LEASE.total_seconds(), limit])
    return list(starmap(OutboxRef, rows))


def seconds_until_due() -> float | None:
    """Returns the seconds until the next unfinished entry is due; None if there is none."""
    result = OutboxEntry.objects.filter(state__in=OutboxEntry.UNFINISHED).aggregate(
        wait=Min("due_at") - Now()
    )
    wait: timedelta | None = result["wait"]
    return max(0.0, wait.total_seconds()) if wait is not None else None


def claim(entry_id: int) -> LeasedEntry | None:
    """Claims a queued entry with a new lease; None if it is not queued (any more)."""
    sql = """
        UPDATE rollcall_outboxentry
        SET state = 'running', lease_token = %s, attempts = attempts + 1,
            due_at = now() + make_interval(secs => %s)
        WHERE id = %s AND state = 'queued' RETURNING kind, person_id, attempts, reason_code,
            extract(epoch FROM now() - created_at)::float, traceparent
    """
    lease_token = uuid4()
    row = fetch_one(sql, [lease_token, settings.OUTBOX_LEASE.total_seconds(), entry_id])
    if row is None:
        return None
    kind, person_id, attempts, reason_code, age, trace = row
    created_at = monotonic() - age
    return LeasedEntry(
        entry_id, lease_token, kind, person_id, attempts, reason_code, created_at, trace
    )


def complete(entry: LeasedEntry, outcome: Outcome) -> None:
    """Finishes an entry. Does nothing if another worker has taken it over."""
    updated = _leased_by(entry).update(
        state=outcome.state,
        reason_code=outcome.reason_code,
        provider_message_id=outcome.provider_message_id[:200],
        finished_at=Now(),
        lease_token=None,
    )
    if updated:
        OUTBOX_ATTEMPTS.labels(entry.kind, outcome.state).inc()
        _observe_handover(entry, outcome)


def reschedule(entry: LeasedEntry, reason_code: str, retry_after: float | None = None) -> None:
    """Reschedules an entry, after `retry_after` seconds if the provider named them."""
    delay = retry_delay(entry.attempts, retry_after, initial=_BACKOFF_INITIAL, maximum=_BACKOFF_MAX)
    _set_pending(entry, reason_code, delay, "retried")


def postpone(entry: LeasedEntry, reason_code: str, seconds: float) -> None:
    """Postpones an entry until a quota may allow it, or it is released, however long that is."""
    _set_pending(entry, reason_code, seconds, "postponed")


def _observe_handover(entry: LeasedEntry, outcome: Outcome) -> None:
    """Observes for how long a message has waited, unless it was to wait, or is not needed."""
    is_message = entry.kind != OutboxEntry.Kind.PROJECT_PROFILE
    is_handed_over = outcome.state in (OutboxEntry.State.DONE, OutboxEntry.State.FAILED)
    was_to_wait = not POSTPONED_REASONS.isdisjoint((entry.reason_code, outcome.reason_code))
    if is_message and is_handed_over and not was_to_wait:
        MESSAGE_HANDOVER_DURATION.labels(entry.kind).observe(monotonic() - entry.created_at)


def _set_pending(entry: LeasedEntry, reason_code: str, seconds: float, outcome: str) -> None:
    updated = _leased_by(entry).update(
        state=OutboxEntry.State.PENDING,
        reason_code=reason_code,
        due_at=Now() + timedelta(seconds=seconds),
        lease_token=None,
    )
    if updated:
        OUTBOX_ATTEMPTS.labels(entry.kind, outcome).inc()


def retry(entry_ids: Sequence[int]) -> list[OutboxRef]:
    """Queues entries at once, whatever they wait for, and those that have failed again; the caller
    enqueues them. Not those that are running, done or discarded. Returns which.
    """
    sql = """
        UPDATE rollcall_outboxentry
        SET state = 'queued', due_at = now() + make_interval(secs => %s), finished_at = NULL
        WHERE id = ANY(%s) AND state IN ('pending', 'queued', 'failed') RETURNING id, kind
    """
    rows = fetch_all(sql, [settings.OUTBOX_LEASE.total_seconds(), list(entry_ids)])
    return list(starmap(OutboxRef, rows))


def give_up(entry_ids: Sequence[int]) -> list[int]:
    """Fails messages that are not finished; returns the ids of those.

    Not one that a worker is sending: its claim and this update exclude each other, by the row's
    lock. Never a projection: it may end sessions, which readers would go on to accept.
    """
    sql = """
        UPDATE rollcall_outboxentry
        SET state = 'failed', reason_code = %s, finished_at = now(), lease_token = NULL
        WHERE id = ANY(%s) AND kind <> 'project_profile'
            AND (state IN ('pending', 'queued') OR (state = 'running' AND due_at <= now()))
        RETURNING id
    """
    return [entry_id for (entry_id,) in fetch_all(sql, [GIVEN_UP, list(entry_ids)])]


def release(person_id: UUID, reason_code: str) -> None:
    """Makes a person's entries due that were postponed for that reason."""
    OutboxEntry.objects.filter(
        person_id=person_id, state=OutboxEntry.State.PENDING, reason_code=reason_code
    ).update(due_at=Now())


def _leased_by(entry: LeasedEntry) -> QuerySet[OutboxEntry]:
    return OutboxEntry.objects.filter(
        id=entry.id, lease_token=entry.lease_token, state=OutboxEntry.State.RUNNING
    )
