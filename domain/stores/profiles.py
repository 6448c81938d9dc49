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
from domain.errors import Unavailable
from domain.person import Gone, Person
from domain.stores import bulk, people
from domain.stores.postgres.errors import translate_database_errors
from domain.stores.redis_command import Script

log = structlog.get_logger(__name__)

# A whole hash replaces the older one or nothing happens: an old write never covers a new one.
_GUARDED = """#!lua {flags}
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
_WRITE_IF_NEWER = _GUARDED.format(flags="", before="", after="")
# Where nothing stands there is no version to be guarded by: Redis may have lost a newer state. Then
# the hash is of no use to readers, for want of its ETag, until its version was looked up again.
_WRITE_UNPROVEN = _GUARDED.format(
    flags="", before="", after="if not whole then redis.call('HDEL', KEYS[1], 'e') return 2 end"
)
_PROVEN = """#!lua
if redis.call('HGET', KEYS[1], 'v') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'e', ARGV[2])
return 1
"""
# What stands may be replaced also when Redis is full: sessions must end (DESIGN section 5).
_WRITE_IF_FULL = _GUARDED.format(
    flags="flags=allow-oom", before="if not whole then return -1 end", after=""
)
_ROUNDS = 5
_MARGIN = 0.001  # seconds; no two clocks run quite equally fast
_nothing = threading.Event()  # that never happens


class NoRoom(Unavailable):
    """Redis is full, and has no older hash of this person that could be replaced."""


def redis() -> Redis:
    """The profile Redis: one pool for each process, time-outs and all, from the settings."""
    return cast(Redis, get_redis_connection("default"))


@cache
def script(text: str) -> Script:
    """What runs a Lua script on the profile Redis."""
    return Script(redis().connection_pool, text)


@contextmanager
def redis_errors() -> Iterator[None]:
    """Raise `Unavailable`, and log it, where redis-py raises its own errors."""
    try:
        yield
    except RedisError as error:
        log.warning("profile_redis_unavailable", error=type(error).__name__)
        raise Unavailable from None


def publish(person: Person | Gone) -> bool:
    """Write a person's hash or tombstone unless a newer one stands; whether it was written.

    Raises `Unavailable`, and of that `NoRoom`.
    """
    # Of a new person there is no other version, and nothing follows a tombstone.
    is_only_one = isinstance(person, Gone) or person.version == 1
    write = _WRITE_IF_NEWER if is_only_one else _WRITE_UNPROVEN
    keys, values = [profile.key_of(person.id)], arguments(person)
    with redis_errors():
        try:
            written = int(script(write)(keys, values))
        except OutOfMemoryError:
            written = int(script(_WRITE_IF_FULL)(keys, values))
    if written < 0:
        raise NoRoom
    return _prove(person) if written > 1 else bool(written)


def _prove(person: Person | Gone) -> bool:
    """Give a hash to the readers, if it is (still) that of the person's current state."""
    with translate_database_errors():
        if people.version_of(person.id) != person.version:
            return False
    key, values = _proof(person)
    with redis_errors():
        return bool(script(_PROVEN)([key], values))


def settle() -> None:
    """Return when no reader uses a near copy any more of what was published before.

    A reader may hear of a write a moment after its writer; see `api.reads.client_cache`.
    """
    if settings.CLIENT_CACHE_MAX_STALENESS:
        _nothing.wait(settings.CLIENT_CACHE_MAX_STALENESS + _MARGIN)


def publish_all(people: Sequence[Person | Gone]) -> int:
    """Write all these hashes as `publish` does; how many were written. Raises `RedisError`."""
    try:
        created = bulk.create((profile.key_of(each.id), profile.hash_of(each)) for each in people)
    except ResponseError:
        created = [0] * len(people)  # the script can do it alone, or says what is wrong
    standing = [each for each, is_new in zip(people, created, strict=True) if not is_new]
    return sum(created) + sum(bulk.run(_WRITE_IF_NEWER, map(_call, standing)))


def arguments(person: Person | Gone) -> list[bytes]:
    """What the scripts are told of a person: the version, then field, value, field, value ..."""
    fields = profile.hash_of(person)
    return [fields[profile.VERSION], *itertools.chain.from_iterable(fields.items())]


def _call(person: Person | Gone) -> tuple[str, list[bytes]]:
    return profile.key_of(person.id), arguments(person)


def _proof(person: Person | Gone) -> tuple[str, list[bytes]]:
    fields = profile.hash_of(person)
    return profile.key_of(person.id), [fields[profile.VERSION], fields[profile.ETAG]]


def refresh(person_id: UUID) -> None:
    """Bring a person's profile hash up to what Postgres says now.

    The version is read again after writing: whoever changed the person meanwhile may have died
    before publishing. Raises `Unavailable` if Redis is away, or if the person changes faster
    than profiles are written.
    """
    for _ in range(_ROUNDS):
        person = people.load(person_id)
        if person is None:
            return
        publish(person)
        if people.version_of(person_id) == person.version:
            return
    raise Unavailable


def refresh_all(ids: Sequence[UUID]) -> None:
    """Do for all these people what `refresh` does for one, in no more round trips.

    Raises `Unavailable`, and Django's `OperationalError` and `InterfaceError`.
    """
    states = people.load_all(ids)
    with redis_errors():
        try:
            changed = _write_and_prove(states)
        except OutOfMemoryError:
            changed = states
    for person in changed:
        with suppress(NoRoom):  # others may have an older hash, which may be replaced
            refresh(person.id)


def _write_and_prove(states: Sequence[Person | Gone]) -> list[Person | Gone]:
    """Write all these states for readers; who has changed meanwhile. Raises `RedisError`."""
    written = bulk.run(_WRITE_UNPROVEN, map(_call, states), redis())
    versions = people.versions_of([person.id for person in states])
    changed, proven = [], []
    for person, reply in zip(states, written, strict=True):
        if versions.get(person.id) != person.version:
            changed.append(person)
        elif reply > 1:
            proven.append(_proof(person))
    bulk.run(_PROVEN, proven, redis())
    return changed


def fields_of(person_id: UUID) -> dict[bytes, bytes]:
    """Every field of a person's hash as it stands now; empty if there is none.

    Raises `Unavailable`.
    """
    with redis_errors():
        return cast(dict[bytes, bytes], redis().hgetall(profile.key_of(person_id)))


def next_wanted(limit: int, wait: float) -> list[UUID]:
    """Up to `limit` wanted people, most wanted first; waits up to `wait` seconds for the first.

    Raises `Unavailable`.
    """
    with redis_errors():
        first = redis().bzpopmax(profile.WANTED, timeout=wait)
        if first is None:
            return []
        more = redis().zpopmax(profile.WANTED, limit - 1) if limit > 1 else []
        members = [cast(bytes, first[1]), *(m for m, _ in cast(list[tuple[bytes, float]], more))]
        return [UUID(hex=member.decode()) for member in members]
