"""Profiles in Redis: written with a version guard, and those that readers miss."""

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
from domain.errors import ServiceUnavailable
from domain.person import Person, Tombstone
from domain.stores import bulk, people
from domain.stores.postgres.errors import translate_database_errors
from domain.stores.redis_command import Script

log = structlog.get_logger(__name__)

# A whole hash replaces the older one or nothing happens: an old write never covers a new one.
_COMPARE_AND_SET = """#!lua {flags}
local version = tonumber(redis.call('HGET', KEYS[1], 'v') or nil)
local whole = redis.call('HEXISTS', KEYS[1], 'e') == 1
if version and (version > tonumber(ARGV[1]) or (version == tonumber(ARGV[1]) and whole)) then
  return 0
end
{before}
if version then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
{after}
return 1
"""
_WRITE_IF_NEWER = _COMPARE_AND_SET.format(flags="", before="", after="")
# Where nothing stands there is no version to be guarded by: Redis may have lost a newer state. Then
# the hash is of no use to readers, for want of its ETag, until its version was looked up again.
_WRITE_STAGED = _COMPARE_AND_SET.format(
    flags="", before="", after="if not whole then redis.call('HDEL', KEYS[1], 'e') return 2 end"
)
_ACTIVATE = """#!lua
if redis.call('HGET', KEYS[1], 'v') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'e', ARGV[2])
return 1
"""
# What stands may be replaced also when Redis is full: sessions must end (DESIGN section 5).
_OVERWRITE_WHEN_FULL = _COMPARE_AND_SET.format(
    flags="flags=allow-oom", before="if not whole then return -1 end", after=""
)
_MAX_ATTEMPTS = 5
_CLOCK_DRIFT = 0.001  # seconds; no two clocks run quite equally fast
_never_set = threading.Event()  # that never happens


class RedisOutOfMemory(ServiceUnavailable):
    """Redis is full, and has no older hash of this person that could be replaced."""


def get_client() -> Redis:
    """The profile Redis: one pool for each process, time-outs and all, from the settings."""
    return cast(Redis, get_redis_connection("default"))


@cache
def get_script(text: str) -> Script:
    """What runs a Lua script on the profile Redis."""
    return Script(get_client().connection_pool, text)


@contextmanager
def translate_redis_errors() -> Iterator[None]:
    """Raise `Unavailable`, and log it, where redis-py raises its own errors."""
    try:
        yield
    except RedisError as error:
        log.warning("redis_error", error_type=type(error).__name__)
        raise ServiceUnavailable from None


def write_profile(person: Person | Tombstone) -> bool:
    """Write a person's hash or tombstone unless a newer one stands; whether it was written.

    Raises `Unavailable`, and of that `NoRoom`.
    """
    # Of a new person there is no other version, and nothing follows a tombstone.
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
    """Give a hash to the readers, if it is (still) that of the person's current state."""
    with translate_database_errors():
        if people.get_version(person.id) != person.version:
            return False
    key, values = _activate_args(person)
    with translate_redis_errors():
        return bool(get_script(_ACTIVATE)([key], values))


def sleep_max_staleness() -> None:
    """Return when no reader uses a near copy any more of what was published before.

    A reader may hear of a write a moment after its writer; see `api.reads.client_cache`.
    """
    if settings.CLIENT_CACHE_MAX_STALENESS:
        _never_set.wait(settings.CLIENT_CACHE_MAX_STALENESS + _CLOCK_DRIFT)


def write_profiles(people: Sequence[Person | Tombstone]) -> int:
    """Write all these hashes as `publish` does; how many were written. Raises `RedisError`."""
    try:
        created = bulk.create_hashes(
            (profile.redis_key(person.id), profile.to_hash(person)) for person in people
        )
    except ResponseError:
        created = [0] * len(people)  # the script can do it alone, or says what is wrong
    existing = [person for person, is_new in zip(people, created, strict=True) if not is_new]
    return sum(created) + sum(bulk.run_script(_WRITE_IF_NEWER, map(_write_args, existing)))


def script_args(person: Person | Tombstone) -> list[bytes]:
    """What the scripts are told of a person: the version, then field, value, field, value ..."""
    fields = profile.to_hash(person)
    return [fields[profile.VERSION], *itertools.chain.from_iterable(fields.items())]


def _write_args(person: Person | Tombstone) -> tuple[str, list[bytes]]:
    return profile.redis_key(person.id), script_args(person)


def _activate_args(person: Person | Tombstone) -> tuple[str, list[bytes]]:
    fields = profile.to_hash(person)
    return profile.redis_key(person.id), [fields[profile.VERSION], fields[profile.ETAG]]


def project(person_id: UUID) -> None:
    """Bring a person's profile hash up to what Postgres says now.

    The version is read again after writing: whoever changed the person meanwhile may have died
    before publishing. Raises `Unavailable` if Redis is away, or if the person changes faster
    than profiles are written.
    """
    for _ in range(_MAX_ATTEMPTS):
        person = people.get_person(person_id)
        if person is None:
            return
        write_profile(person)
        if people.get_version(person_id) == person.version:
            return
    raise ServiceUnavailable


def project_many(ids: Sequence[UUID]) -> None:
    """Do for all these people what `refresh` does for one, in no more round trips.

    Raises `Unavailable`, and Django's `OperationalError` and `InterfaceError`.
    """
    states = people.get_people(ids)
    with translate_redis_errors():
        try:
            changed = _stage_and_activate(states)
        except OutOfMemoryError:
            changed = states
    for person in changed:
        with suppress(RedisOutOfMemory):  # others may have an older hash, which may be replaced
            project(person.id)


def _stage_and_activate(states: Sequence[Person | Tombstone]) -> list[Person | Tombstone]:
    """Write all these states for readers; who has changed meanwhile. Raises `RedisError`."""
    written = bulk.run_script(_WRITE_STAGED, map(_write_args, states), get_client())
    versions = people.get_versions([person.id for person in states])
    changed, staged = [], []
    for person, reply in zip(states, written, strict=True):
        if versions.get(person.id) != person.version:
            changed.append(person)
        elif reply > 1:
            staged.append(_activate_args(person))
    bulk.run_script(_ACTIVATE, staged, get_client())
    return changed


def get_hash(person_id: UUID) -> dict[bytes, bytes]:
    """Every field of a person's hash as it stands now; empty if there is none.

    Raises `Unavailable`.
    """
    with translate_redis_errors():
        return cast(dict[bytes, bytes], get_client().hgetall(profile.redis_key(person_id)))


def pop_misses(limit: int, timeout: float) -> list[UUID]:
    """Up to `limit` wanted people, most wanted first; waits up to `wait` seconds for the first.

    Raises `Unavailable`.
    """
    with translate_redis_errors():
        first = get_client().bzpopmax(profile.BACKFILL_QUEUE, timeout=timeout)
        if first is None:
            return []
        others = get_client().zpopmax(profile.BACKFILL_QUEUE, limit - 1) if limit > 1 else []
        members = [cast(bytes, first[1]), *(m for m, _ in cast(list[tuple[bytes, float]], others))]
        return [UUID(hex=member.decode()) for member in members]
