"""The profile Redis is vouched for, again and again, and what it has lost is brought back.

Each change of a profile has an outbox row, which is closed after Redis has it. So what Redis was
told after some moment, and may have lost, is of people with a row that is open or was closed later.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import batched
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection
from django.db.models import Q

from domain.stores import profiles
from domain.stores.models import OutboxEntry
from domain.stores.rebuild import rebuild
from domain.vouched import COMPLETE_UNTIL, FENCE_KEY, RUN_ID

log = structlog.get_logger(__name__)

# In one step, so that what is written into a server was found in that server. Nothing is believed
# of one that has another run id than it was vouched for, unless that is what is said now.
_ADVANCE_FENCE = f"""#!lua flags=allow-oom
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
local known = redis.call('HGET', KEYS[1], '{RUN_ID}')
if known and known ~= run and ARGV[2] ~= run then
  return {{run, redis.call('HGET', KEYS[1], '{COMPLETE_UNTIL}')}}
end
redis.call('HSET', KEYS[1], '{RUN_ID}', run, '{COMPLETE_UNTIL}', ARGV[1])
return {{}}
"""
_CLOCK_SKEW = timedelta(minutes=1)  # Postgres may have a successor too, with a clock of its own
_BATCH_SIZE = 200  # people
_MAX_CHANGED = 100_000  # of more than that a list is no better than everybody
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class StaleReplica:
    """A profile Redis with older data: its run id, and until when they are complete."""

    run_id: str
    complete_until: datetime


def run_fencing() -> Iterator[bool]:
    """Vouch for the profile Redis, for ever; yields whether it may be believed, after each step.

    When it may not, a step brings some people to their current state. Raises `Unavailable`, and
    Django's `OperationalError` and `InterfaceError`; then it begins anew.
    """
    while True:
        now = _database_now()
        stale = _advance_fence(now)
        if stale is None:
            yield True
            continue
        for _ in _project_changed(stale, now):
            yield False
        if _advance_fence(now, stale.run_id) is None:
            log.info("stale_replica_recovered")


def _advance_fence(now: datetime, run_id: str = "") -> StaleReplica | None:
    """Say that the profile Redis has all that it was told by `moment`, or hear that it has not.

    `run` is the run id of a server that has caught up.
    """
    with profiles.translate_redis_errors():
        reply: list[bytes | None] = profiles.get_script(_ADVANCE_FENCE)(
            [FENCE_KEY], [now.isoformat(), run_id]
        )
    if not reply:
        return None
    actual_run_id, complete_until = reply
    return StaleReplica(
        (actual_run_id or b"").decode(),
        datetime.fromisoformat(complete_until.decode()) if complete_until else _EPOCH,
    )


def _project_changed(stale: StaleReplica, now: datetime) -> Iterator[object]:
    """Bring everybody to their current state whose change may be lost; yields now and then."""
    since = stale.complete_until - _CLOCK_SKEW
    person_ids = _changed_since(since) if since > now - settings.OUTBOX_RETENTION else None
    log.warning(
        "stale_replica_detected",
        complete_until=str(stale.complete_until),
        people=person_ids and len(person_ids),
    )
    if person_ids is None:
        with profiles.translate_redis_errors():
            yield from rebuild()
    else:
        for batch in batched(person_ids, _BATCH_SIZE):
            profiles.project_many(batch)
            yield batch


def _changed_since(since: datetime) -> list[UUID] | None:
    """Whose change may have come to Redis after `since`; None if they are too many to list."""
    rows = OutboxEntry.objects.filter(
        Q(finished_at=None) | Q(finished_at__gte=since), kind=OutboxEntry.Kind.PROJECT_PROFILE
    )
    person_ids = list(rows.values_list("person_id", flat=True).distinct()[: _MAX_CHANGED + 1])
    return person_ids if len(person_ids) <= _MAX_CHANGED else None


def _database_now() -> datetime:
    """The time by Postgres' clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        now: datetime = cursor.fetchone()[0]
        return now
