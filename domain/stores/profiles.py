"""Profiles in Redis: written with a version guard, and those that readers miss."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast
from uuid import UUID

import structlog
from django_redis import get_redis_connection
from redis import Redis, RedisError
from redis.exceptions import OutOfMemoryError

from domain import profile
from domain.errors import Unavailable
from domain.person import Gone, Person
from domain.stores import people

log = structlog.get_logger(__name__)

# A whole hash replaces the older one or nothing happens: an old write never covers a new one.
_WRITE_IF_NEWER = """#!lua
local version = redis.call('HGET', KEYS[1], 'v')
if version and tonumber(version) >= tonumber(ARGV[1]) then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 1
"""
# What stands may be replaced also when Redis is full: sessions must end (DESIGN section 5).
_WRITE_IF_FULL = _WRITE_IF_NEWER.replace("#!lua", "#!lua flags=allow-oom").replace(
    "if version and", "if not version then return -1 end\nif"
)
_ROUNDS = 5


class NoRoom(Unavailable):
    """Redis is full, and has no older hash of this person that could be replaced."""


def redis() -> Redis:
    """The profile Redis: one pool for each process, time-outs and all, from the settings."""
    return cast(Redis, get_redis_connection("default"))


@contextmanager
def _redis_errors() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        log.warning("profile_redis_unavailable", error=type(error).__name__)
        raise Unavailable from None


def publish(person: Person | Gone) -> bool:
    """Write a person's hash or tombstone unless a newer one stands; whether it was written.

    Raises `Unavailable`, and of that `NoRoom`.
    """
    pairs = [part for pair in profile.hash_of(person).items() for part in pair]
    keys, values = [profile.key_of(person.id)], [b"%d" % person.version, *pairs]
    with _redis_errors():
        try:
            return bool(redis().register_script(_WRITE_IF_NEWER)(keys, values))
        except OutOfMemoryError:
            written = int(redis().register_script(_WRITE_IF_FULL)(keys, values))
    if written < 0:
        raise NoRoom
    return bool(written)


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


def fields_of(person_id: UUID) -> dict[bytes, bytes]:
    """Every field of a person's hash as it stands now; empty if there is none.

    Raises `Unavailable`.
    """
    with _redis_errors():
        return cast(dict[bytes, bytes], redis().hgetall(profile.key_of(person_id)))


def next_wanted(limit: int, wait: float) -> list[UUID]:
    """Up to `limit` wanted people, most wanted first; waits up to `wait` seconds for the first.

    Raises `Unavailable`.
    """
    with _redis_errors():
        first = redis().bzpopmax(profile.WANTED, timeout=wait)
        if first is None:
            return []
        more = redis().zpopmax(profile.WANTED, limit - 1) if limit > 1 else []
        members = [cast(bytes, first[1]), *(m for m, _ in cast(list[tuple[bytes, float]], more))]
        return [UUID(hex=member.decode()) for member in members]
