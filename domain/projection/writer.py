"""Writes profiles to Redis with a compare-and-set on the version, and pops the cache misses."""

import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import cast
from uuid import UUID

import structlog
from django.conf import settings
from django_redis import get_redis_connection
from redis import Redis, RedisError
from redis.exceptions import OutOfMemoryError, ResponseError

from domain import profile
from domain.model.errors import ServiceUnavailable
from domain.model.person import Person, Tombstone
from domain.postgres import person_queries
from domain.postgres.errors import translate_database_errors
from domain.projection import pipeline
from domain.projection.redis_command import Script

log = structlog.get_logger(__name__)

# A complete hash replaces an older one or nothing happens: no late write replaces a newer one.
_COMPARE_AND_SET = """#!lua {flags}
local version = tonumber(redis.call('HGET', KEYS[1], 'v') or nil)
local complete = redis.call('HEXISTS', KEYS[1], 'e') == 1
if version and (version > tonumber(ARGV[1]) or (version == tonumber(ARGV[1]) and complete)) then
  return 0
end
{before}
if version then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
{after}
return 1
"""
_WRITE_IF_NEWER = _COMPARE_AND_SET.format(flags="", before="", after="")
# No stored version to compare, and Redis may have lost a newer one: stage the hash without its
# ETag, which hides it from readers until its version is checked in Postgres.
_WRITE_STAGED = _COMPARE_AND_SET.format(
    flags="", before="", after="if not complete then redis.call('HDEL', KEYS[1], 'e') return 2 end"
)
_ACTIVATE = """#!lua
if redis.call('HGET', KEYS[1], 'v') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'e', ARGV[2])
return 1
"""
# Allowed also when Redis is out of memory: revocations must reach it (DESIGN section 5).
_OVERWRITE_WHEN_FULL = _COMPARE_AND_SET.format(
    flags="flags=allow-oom", before="if not complete then return -1 end", after=""
)
_MAX_ATTEMPTS = 5
_CLOCK_DRIFT = 0.001  # seconds; no two clocks run at exactly the same rate
_never_set = threading.Event()


class RedisOutOfMemory(ServiceUnavailable):
    """Redis is out of memory, and has no older hash of this person to overwrite."""


def get_client() -> Redis:
    """Returns the client of the profile Redis, configured in the settings; one for the process."""
    return cast(Redis, get_redis_connection("default"))


@cache
def get_script(text: str) -> Script:
    """Returns the callable of a Lua script on the profile Redis."""
    return Script(get_client().connection_pool, text)


@contextmanager
def translate_redis_errors() -> Iterator[None]:
    """Raises `ServiceUnavailable`, and logs, in place of redis-py's errors."""
    try:
        yield
    except RedisError as error:
        log.warning("redis_error", error_type=type(error).__name__)
        raise ServiceUnavailable from None


def write_profile(person: Person | Tombstone) -> bool:
    """Writes a person's hash or tombstone unless a newer one exists; returns whether it did.

    Raises `ServiceUnavailable`, and of that `RedisOutOfMemory`.
    """
    # A new person has no other version, and nothing follows a tombstone.
    is_only_version = isinstance(person, Tombstone) or person.version == 1
    write = _WRITE_IF_NEWER if is_only_version else _WRITE_STAGED
    keys, values = [profile.redis_key(person.id)], script_args(person)
    with translate_redis_errors():
        try:
            written = int(get_script(write)(keys, values))
        except OutOfMemoryError:
            written = int(get_script(_OVERWRITE_WHEN_FULL)(keys, values))
    if written < 0:
        raise RedisOutOfMemory
    return _activate(person) if written > 1 else bool(written)


def _activate(person: Person | Tombstone) -> bool:
    """Activates a staged hash, if it is (still) that of the person's current version."""
    with translate_database_errors():
        if person_queries.get_version(person.id) != person.version:
            return False
    key, values = _activate_args(person)
    with translate_redis_errors():
        return bool(get_script(_ACTIVATE)([key], values))


def sleep_max_staleness() -> None:
    """Sleeps until no reader uses a client-side cache entry from before the last write.

    Readers are notified of a write slightly after its writer; see `api.reads.client_cache`.
    """
    if settings.CLIENT_CACHE_MAX_STALENESS:
        _never_set.wait(settings.CLIENT_CACHE_MAX_STALENESS + _CLOCK_DRIFT)


def write_profiles(people: Sequence[Person | Tombstone]) -> int:
    """As `write_profile` for all of these; returns how many were written. Raises `RedisError`."""
    try:
        created = pipeline.create_hashes(
            (profile.redis_key(person.id), profile.to_hash(person)) for person in people
        )
    except ResponseError:
        created = [0] * len(people)  # the script below can write them, or fails with the reason
    existing = [person for person, is_new in zip(people, created, strict=True) if not is_new]
    return sum(created) + sum(pipeline.run_script(_WRITE_IF_NEWER, map(_write_args, existing)))


def script_args(person: Person | Tombstone) -> list[bytes]:
    """Returns the arguments of the scripts: the version, then field, value, field, value ..."""
    fields = profile.to_hash(person)
    return [fields[profile.VERSION], *itertools.chain.from_iterable(fields.items())]


def _write_args(person: Person | Tombstone) -> tuple[str, list[bytes]]:
    return profile.redis_key(person.id), script_args(person)


def _activate_args(person: Person | Tombstone) -> tuple[str, list[bytes]]:
    fields = profile.to_hash(person)
    return profile.redis_key(person.id), [fields[profile.VERSION], fields[profile.ETAG]]


def project(person_id: UUID) -> None:
    """Projects a person's current state in Postgres to Redis.

    Reads the version again after writing: a process that changed the person meanwhile may have died
    before it wrote. Raises `ServiceUnavailable` if Redis is unavailable, or if the person changes
    faster than profiles are written.
    """
    for _ in range(_MAX_ATTEMPTS):
        person = person_queries.get_person(person_id)
        if person is None:
            return
        write_profile(person)
        if person_queries.get_version(person_id) == person.version:
            return
    raise ServiceUnavailable


def project_many(ids: Sequence[UUID]) -> None:
    """As `project` for all these people, in as many round trips as for one.

    Raises `ServiceUnavailable`, and Django's `OperationalError` and `InterfaceError`.
    """
    states = person_queries.get_people(ids)
    with translate_redis_errors():
        try:
            changed = _stage_and_activate(states)
        except OutOfMemoryError:
            changed = states
    for person in changed:
        with suppress(RedisOutOfMemory):  # others may have an older hash, which is overwritten
            project(person.id)


def _stage_and_activate(states: Sequence[Person | Tombstone]) -> list[Person | Tombstone]:
    """Writes these states; returns those that have changed since. Raises `RedisError`."""
    written = pipeline.run_script(_WRITE_STAGED, map(_write_args, states), get_client())
    versions = person_queries.get_versions([person.id for person in states])
    changed, staged = [], []
    for person, reply in zip(states, written, strict=True):
        if versions.get(person.id) != person.version:
            changed.append(person)
        elif reply > 1:
            staged.append(_activate_args(person))
    pipeline.run_script(_ACTIVATE, staged, get_client())
    return changed


def get_hash(person_id: UUID) -> dict[bytes, bytes]:
    """Returns all fields of a person's hash; empty if there is none.

    Raises `ServiceUnavailable`.
    """
    with translate_redis_errors():
        return cast(dict[bytes, bytes], get_client().hgetall(profile.redis_key(person_id)))


def pop_misses(limit: int, timeout: float) -> list[UUID]:
    """Pops up to `limit` missed people, most missed first; waits up to `timeout` s for the first.

    Raises `ServiceUnavailable`.
    """
    with translate_redis_errors():
        first = get_client().bzpopmax(profile.BACKFILL_QUEUE, timeout=timeout)
        if first is None:
            return []
        others = get_client().zpopmax(profile.BACKFILL_QUEUE, limit - 1) if limit > 1 else []
        members = [cast(bytes, first[1]), *(m for m, _ in cast(list[tuple[bytes, float]], others))]
        return [UUID(hex=member.decode()) for member in members]
