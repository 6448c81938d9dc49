"""Writes profiles to Redis, each with a compare-and-set on its version."""

import threading
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain
from uuid import UUID

import structlog
from django.conf import settings
from redis.exceptions import OutOfMemoryError, ResponseError

from domain import profile
from domain.fence import SINCE
from domain.model.person import Person, Tombstone
from domain.postgres import person_queries
from domain.projection.client import get_bulk_pool, get_pool, get_primary, translate_redis_errors
from domain.projection.redis_command import Argument, execute_pipeline, run_script

log = structlog.get_logger(__name__)

# Replaces an older hash by a complete one. Where there is none, Redis may have lost a newer one, in
# which a session was revoked. So only the version is stored, which readers take for a cache miss,
# unless ARGV[2] allows the hash: ALWAYS, or IF_MARKED, where such a version is stored already; or
# ARGV[3] does, the time of the person's sign-up, since which Redis has lost nothing by its fence,
# whose key is ARGV[4].
# Without a "#!lua" line, Redis rejects a script for lack of memory only if its first write needs
# some: after a DEL, all of it is executed. So revocations reach a full Redis.
_WRITE = f"""
local version, etag = unpack(redis.call('HMGET', KEYS[1], 'v', 'e'))
version = tonumber(version) or 0
local new_version = tonumber(ARGV[1])
if version > new_version or (version == new_version and etag) then
  return 0
end
if etag then
  redis.call('DEL', KEYS[1])
elseif not (ARGV[2] == 'always' or (ARGV[2] == 'if_marked' and version > 0)
    or (redis.call('HGET', ARGV[4], '{SINCE}') or ARGV[3]) < ARGV[3]) then
  redis.call('HSET', KEYS[1], 'v', ARGV[1])
  return 2
end
redis.call('HSET', KEYS[1], unpack(ARGV, 5))
return 1
"""
_NEVER, _IF_MARKED, _ALWAYS = "never", "if_marked", "always"
_WRITTEN, _MARKED = 1, 2  # results of the script
_CLOCK_DRIFT = 0.001  # seconds; no two clocks run at exactly the same rate
_never_set = threading.Event()


def write_profile(person: Person | Tombstone, signed_up_at: datetime | None = None) -> bool:
    """Writes a committed state unless Redis has a newer one; returns whether it did.

    Writes no profile where Redis has none, as after it has lost its data: the outbox entry and
    cache misses fill it. Except for a person who signed up at `signed_up_at` or later, if Redis has
    lost nothing since: this process may have been suspended. Raises `ServiceUnavailable`.
    """
    fill = _ALWAYS if isinstance(person, Tombstone) else _NEVER  # nothing follows a tombstone
    return _write([person], fill, signed_up_at) == [_WRITTEN]


def project(*person_ids: UUID) -> None:
    """Projects the current state of these people in Postgres to Redis.

    Where Redis has no hash, the state is read (again) after its version was stored there: a
    revocation since then has raised that version, and a Redis that has lost its data does not have
    it. Raises `ServiceUnavailable`, and Django's `OperationalError` and `InterfaceError`.
    """
    for fill in (_NEVER, _IF_MARKED):
        people = person_queries.get_people(person_ids)
        results = _write(people, fill)
        person_ids = tuple(
            person.id for person, result in zip(people, results, strict=False) if result == _MARKED
        )
        if not person_ids:
            return


def write_profiles(people: Sequence[Person | Tombstone]) -> int:
    """Writes these states unless Redis has newer ones, also where it has none; returns how many.

    Half of the cost is saved by `HSETEX FNX`, which writes a hash if none of its fields exists; it
    needs Valkey 9 or Redis 8. Raises `RedisError`.
    """
    hashes = ((profile.redis_key(person.id), profile.to_hash(person)) for person in people)
    commands: Iterable[tuple[Argument, ...]] = (
        ("HSETEX", key, "FNX", "FIELDS", len(fields), *chain.from_iterable(fields.items()))
        for key, fields in hashes
    )
    try:
        created: list[int] = execute_pipeline(get_bulk_pool(), commands)
    except ResponseError:
        created = [0] * len(people)  # the script can write them, or fails with the reason
    existing = [person for person, is_new in zip(people, created, strict=True) if not is_new]
    replaced: list[int] = run_script(get_bulk_pool(), _WRITE, _calls(existing, _ALWAYS))
    return sum(created) + sum(replaced)


def sleep_max_staleness() -> None:
    """Sleeps until no reader uses a client-side cache entry from before the last write, or reads
    from a server that was the primary before.

    Readers are notified of a write slightly after its writer; see `api.reads.client_cache`.
    """
    staleness = max(settings.CLIENT_CACHE_MAX_STALENESS, get_pool().seconds_until_settled())
    if staleness:
        _never_set.wait(staleness + _CLOCK_DRIFT)


def flatten(person: Person | Tombstone) -> list[bytes]:
    """Returns a person's hash as Lua scripts take it: field, value, field, value ..."""
    return list(chain.from_iterable(profile.to_hash(person).items()))


def _write(
    people: Sequence[Person | Tombstone], fill: str, signed_up_at: datetime | None = None
) -> list[int]:
    """Returns the script's results; none if a hash that is not stored needs too much memory.

    Without that memory nothing of it is stored, so no session of it can be read.
    """
    with translate_redis_errors():
        try:
            return run_script(get_pool(), _WRITE, _calls(people, fill, signed_up_at))
        except OutOfMemoryError:
            log.warning("redis_out_of_memory")
            return []


def _calls(
    people: Iterable[Person | Tombstone], fill: str, signed_up_at: datetime | None = None
) -> Iterable[list[Argument]]:
    time = signed_up_at.isoformat() if signed_up_at else ""
    for person in people:
        key = profile.redis_key(person.id)
        fence_key = get_primary(key).fence_key
        yield [key, person.version, fill, time, fence_key, *flatten(person)]
