"""Advances the fence of the profile Redis, and projects again what an older snapshot lacks.

Each change of a profile has an outbox entry, which is finished after Redis has the change. So what
Redis may have lost since a time are the changes of people with an entry that is unfinished or was
finished later.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import batched
from time import monotonic, sleep
from typing import NamedTuple
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection
from django.db.models import Q

from domain.fence import COMPLETE_UNTIL, RUN_ID, SINCE
from domain.model.errors import ServiceUnavailable
from domain.postgres.models import OutboxEntry
from domain.projection import writer
from domain.projection.client import Primary, get_primaries, translate_redis_errors
from domain.projection.rebuild import rebuild
from domain.projection.redis_command import execute, run_script

log = structlog.get_logger(__name__)

# Atomic, so that the fence is written to the server whose run id was read. A server with another
# run id than the fenced one is not fenced, unless that run id is passed.
_ADVANCE_FENCE = f"""#!lua flags=allow-oom
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
local fenced, complete_until =
  unpack(redis.call('HMGET', KEYS[1], '{RUN_ID}', '{COMPLETE_UNTIL}'))
if fenced and fenced ~= run_id and ARGV[2] ~= run_id then
  return {{run_id, complete_until}}
end
redis.call('HSET', KEYS[1], '{RUN_ID}', run_id, '{COMPLETE_UNTIL}', ARGV[1])
redis.call('HSETNX', KEYS[1], '{SINCE}', ARGV[1])
return {{}}
"""
_CLOCK_SKEW = timedelta(minutes=1)  # Postgres may have failed over too
_BATCH_SIZE = 200  # people
_GRACE_STEP = 0.05  # seconds
_MAX_CHANGED = 100_000  # above that a rebuild costs no more
_EPOCH = datetime.fromtimestamp(0, UTC)


class StaleReplica(NamedTuple):
    """A profile Redis with older data: its run id, and until when its data are complete."""

    run_id: str
    complete_until: datetime


def ensure_since() -> None:
    """Stores since when the profile Redis has lost nothing, unless that is stored.

    Each write process does before its first sign-up, and the relay after a flush. Best effort:
    without it a new profile is not written at once, but on its first read.
    """
    with suppress(ServiceUnavailable), translate_redis_errors():
        now = datetime.now(UTC).isoformat()
        for primary in get_primaries():
            execute(primary.pool, "HSETNX", primary.fence_key, SINCE, now)


class Step(NamedTuple):
    """A step of `run_fencing`: the primary, and whether readers may trust it."""

    primary: Primary
    is_trusted: bool


def run_fencing(hash_tag: str) -> Iterator[Step]:
    """Advances the fence of one primary in a loop; yields after each step. Ends once there is no
    such primary any more.

    While they may not, each step projects some people. Raises `ServiceUnavailable`, and Django's
    `OperationalError` and `InterfaceError`; the caller then starts a new loop.
    """
    while (primary := _find_primary(hash_tag)) is not None:
        now = _database_now()
        stale = _advance_fence(primary, now)
        if stale is None:
            yield Step(primary, True)
            continue
        deadline = monotonic() + primary.pool.grace_period
        while monotonic() < deadline:  # the old primary, and so what it loses, may still change
            yield Step(primary, False)
            sleep(_GRACE_STEP)
        for _ in _project_changed(stale, now):
            yield Step(primary, False)
        if _advance_fence(primary, now, stale.run_id) is None:
            log.info("stale_replica_recovered")


def _find_primary(hash_tag: str) -> Primary | None:
    """Returns the primary with that hash tag now: another server, after a failover."""
    with translate_redis_errors():
        return next((each for each in get_primaries() if each.hash_tag == hash_tag), None)


def _advance_fence(primary: Primary, now: datetime, run_id: str = "") -> StaleReplica | None:
    """Fences a primary as complete until `now`; returns a stale one instead.

    `run_id` is that of a server that was stale and has caught up.
    """
    with translate_redis_errors():
        call = (primary.fence_key, now.isoformat(), run_id)
        reply: list[bytes | None] = run_script(primary.pool, _ADVANCE_FENCE, [call])[0]
    if not reply:
        return None
    actual_run_id, complete_until = reply
    return StaleReplica(
        (actual_run_id or b"").decode(),
        datetime.fromisoformat(complete_until.decode()) if complete_until else _EPOCH,
    )


def _project_changed(stale: StaleReplica, now: datetime) -> Iterator[object]:
    """Projects all people whose change may be lost; yields after each batch."""
    since = stale.complete_until - _CLOCK_SKEW
    person_ids = _changed_since(since) if since > now - settings.OUTBOX_RETENTION else None
    log.warning(
        "stale_replica_detected",
        complete_until=str(stale.complete_until),
        people=person_ids and len(person_ids),
    )
    if person_ids is None:
        with translate_redis_errors():
            yield from rebuild()
    else:
        for batch in batched(person_ids, _BATCH_SIZE):
            writer.project(*batch)
            yield batch


def _changed_since(since: datetime) -> list[UUID] | None:
    """Returns the people who may have changed in Redis after `since`; None if too many to list."""
    rows = OutboxEntry.objects.filter(
        Q(finished_at=None) | Q(finished_at__gte=since), kind=OutboxEntry.Kind.PROJECT_PROFILE
    )
    person_ids = list(rows.values_list("person_id", flat=True).distinct()[: _MAX_CHANGED + 1])
    return person_ids if len(person_ids) <= _MAX_CHANGED else None


def _database_now() -> datetime:
    """Returns the current time by Postgres' clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        now: datetime = cursor.fetchone()[0]
        return now
