"""Fences the primaries of the profile Redis, and marks as stale what an older snapshot lacks.

Each change of a profile has an outbox entry, which is finished after Redis has the change. So what
Redis may have lost since a time are the changes of people with an entry that is unfinished or was
finished later. If they are too many to list, all profiles are deleted.

What remains is a double fault: a write to a demoted primary that does not know of it, after the
other one was fenced (set `min-replicas-to-write`).
"""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import sleep
from typing import NamedTuple
from uuid import UUID

import structlog
from django.conf import settings

from domain.fence import (
    COMPLETE_UNTIL,
    GENERATION,
    REBUILD_AFTER,
    REPLICATION_ID,
    RUN_ID,
    SINCE,
)
from domain.model.errors import ServiceUnavailable
from domain.postgres import outbox_queries, person_queries
from domain.postgres.sql import fetch_one
from domain.projection import stale_profiles
from domain.projection.client import Primary, get_primaries, translate_redis_errors
from domain.projection.redis_command import execute, run_script

log = structlog.get_logger(__name__)

# Atomic, so that the fence is written to the server whose identity was read: its run id and its
# replication id. ARGV: 1 now; 2 the identity of a server to fence although it is not the fenced
# one, or ""; 3 "" or the id after which all profiles have to be written, for a server that lacks
# all that was written before; 4 the highest generation that this process has seen; 5 the time in
# milliseconds, above the generations that other processes have seen.
_ADVANCE_FENCE = f"""#!lua flags=allow-oom
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)') or ''
local fenced_run_id, fenced_replid, complete_until, rebuild_after, generation = unpack(
  redis.call('HMGET', KEYS[1], '{RUN_ID}', '{REPLICATION_ID}', '{COMPLETE_UNTIL}',
    '{REBUILD_AFTER}', '{GENERATION}'))
generation = tonumber(generation) or 0
local seen = tonumber(ARGV[4])
local identity = run_id .. ':' .. replid
if ARGV[2] ~= identity and (fenced_run_id ~= run_id or (fenced_replid or replid) ~= replid
    or generation < seen) then
  return {{0, identity, fenced_run_id and (complete_until or '1970-01-01T00:00:00+00:00'), ''}}
end
generation = string.format('%d', math.max(generation + 1, seen + 1, tonumber(ARGV[5])))
redis.call('HSET', KEYS[1], '{RUN_ID}', run_id, '{REPLICATION_ID}', replid,
  '{COMPLETE_UNTIL}', ARGV[1], '{GENERATION}', generation)
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[1], '{SINCE}', ARGV[1], '{REBUILD_AFTER}', ARGV[3])
  rebuild_after = ARGV[3]
end
redis.call('HSETNX', KEYS[1], '{SINCE}', ARGV[1])
return {{1, identity, rebuild_after, generation}}
"""
_CLOCK_SKEW = timedelta(minutes=1)  # Postgres may have failed over too
_MAX_CHANGED = 100_000  # above that all profiles are deleted


class Fence(NamedTuple):
    """A fence that was advanced, or refused to a server with other data, with what is known of
    that server: its identity, and until when its data are complete (None: it has no fence), or
    after which id its profiles have to be written (None: all are).
    """

    is_advanced: bool
    identity: str
    complete_until: datetime | None = None
    rebuild_after: UUID | None = None
    generation: int = 0


def ensure_since() -> None:
    """Stores since when the profile Redis has lost nothing, unless that is stored.

    Each write process does before its first sign-up, and the relay after a flush. Best effort:
    without it a new profile is not written at once, but on its first read.
    """
    with suppress(ServiceUnavailable), translate_redis_errors():
        now = datetime.now(UTC).isoformat()
        for primary in get_primaries():
            execute(primary.pool, "HSETNX", primary.fence_key, SINCE, now)


class Fencing:
    """Fences primaries, several threads each their own. Knows which servers it has fenced: what
    they have lost of a fence is the slot that it was in (Redis Cluster), or all data (FLUSHALL).
    """

    def __init__(self) -> None:
        self._hash_tags: dict[str, str] = {}  # by identity
        # The highest generation that was seen, except in a Redis Cluster: there a primary that was
        # cut off is demoted before it serves again.
        self._generation = 0

    def advance(self, primary: Primary) -> Fence:
        """Fences a primary as complete until now; readers trust it when this returns.

        If its data are older, it first marks what has changed since; if that is too much, or it has
        data and no fence, it deletes all profiles. Raises `ServiceUnavailable`, and Django's
        `OperationalError` and `InterfaceError`; the caller then tries again.
        """
        with translate_redis_errors():
            now = _database_now()
            seen = 0 if primary.hash_tag else self._generation
            fence = _advance(primary, now, seen)
            if not fence.is_advanced:
                sleep(primary.pool.grace_period)  # until no process writes to the old primary
                rebuild_after = self._prepare(primary, fence, now)
                fence = _advance(primary, now, seen, fence.identity, rebuild_after)
            if fence.is_advanced:
                self._hash_tags[fence.identity] = primary.hash_tag
                self._generation = fence.generation
            return fence

    def mark_unfinished(self, primary: Primary) -> None:
        """Marks the people whose last change has not reached Redis, after it was unreachable: their
        writes were answered, and the outbox may retry in minutes. Raises as `advance` does.
        """
        with translate_redis_errors():
            person_ids = outbox_queries.changed_since(_database_now(), _MAX_CHANGED)
            if person_ids and (marked := stale_profiles.mark(primary, person_ids)):
                log.info("unfinished_changes_marked", people=marked)

    def _prepare(self, primary: Primary, fence: Fence, now: datetime) -> str:
        """Marks or deletes the profiles that may be older on this server than what readers have had
        from the fenced one; returns the third argument of the script.
        """
        hash_tag = self._hash_tags.get(fence.identity)
        if hash_tag not in (None, primary.hash_tag):
            return ""  # another of its slots is the lowest now, perhaps with another's fence
        if fence.complete_until is None:
            deleted = stale_profiles.delete_all(primary) if hash_tag is None else 0
            log.info("redis_without_fence_found", profiles_deleted=deleted)
            return str(person_queries.NIL_UUID)
        since = fence.complete_until - _CLOCK_SKEW
        person_ids = None
        if since > now - settings.OUTBOX_RETENTION:
            person_ids = outbox_queries.changed_since(since, _MAX_CHANGED)
        details = {"complete_until": str(fence.complete_until)}
        if person_ids is None:
            deleted = stale_profiles.delete_all(primary)
            log.warning("stale_replica_recovered", profiles_deleted=deleted, **details)
            return str(person_queries.NIL_UUID)
        marked = stale_profiles.mark(primary, person_ids)
        log.warning("stale_replica_recovered", people=len(person_ids), marked=marked, **details)
        return ""


def _advance(
    primary: Primary, now: datetime, seen: int, identity: str = "", rebuild_after: str = ""
) -> Fence:
    """Advances the fence of the fenced server, or of that with this identity."""
    milliseconds = int(now.timestamp() * 1000)
    call = (primary.fence_key, now.isoformat(), identity, rebuild_after, seen, milliseconds)
    reply: tuple[int, bytes, bytes | None, bytes] = run_script(
        primary.pool, _ADVANCE_FENCE, [call]
    )[0]
    is_advanced, actual_identity, detail, generation = reply
    text = detail.decode() if detail else None
    if is_advanced:
        rebuild = UUID(text) if text else None
        return Fence(True, actual_identity.decode(), None, rebuild, int(generation))
    complete_until = datetime.fromisoformat(text) if text else None
    return Fence(False, actual_identity.decode(), complete_until)


def _database_now() -> datetime:
    """Returns the current time by Postgres' clock."""
    now: datetime
    (now,) = fetch_one("SELECT now()")
    return now
