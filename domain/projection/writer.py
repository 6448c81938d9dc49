"""Writes profiles to Redis, each with a compare-and-set on its version."""

import threading
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain
from uuid import UUID

import structlog
from django.conf import settings
from redis.exceptions import OutOfMemoryError, ResponseError

from domain import profile
from domain.model.person import Person, Tombstone
from domain.postgres import person_queries
from domain.projection.client import get_bulk_pool, get_pool, translate_redis_errors
from domain.projection.redis_command import Argument, execute_pipeline, run_script
from domain.projection.repair import resolve_conflicts
from domain.projection.write_script import (
    ALWAYS,
    CONFLICT,
    IF_MARKED,
    MARKED,
    NEVER,
    WRITE,
    WRITTEN,
    encode_call,
    is_expired,
)

log = structlog.get_logger(__name__)

_CLOCK_DRIFT = 0.001  # seconds; no two clocks run at exactly the same rate
_never_set = threading.Event()


def write_profile(person: Person | Tombstone, signed_up_at: datetime | None = None) -> bool:
    """Writes a committed state unless Redis has a newer one; returns whether it did.

    Writes no profile where Redis has none, as after it has lost its data: the outbox entry and
    cache misses fill it. Except for a person who signed up at `signed_up_at` or later, if Redis has
    lost nothing since: this process may have been suspended. When it returns, no session that the
    state lacks is read again. Raises `ServiceUnavailable`.
    """
    create = ALWAYS if isinstance(person, Tombstone) else NEVER  # nothing follows a tombstone
    return _write([person], create, signed_up_at) == [WRITTEN]


def project(*person_ids: UUID) -> None:
    """Projects the current state of these people in Postgres to Redis.

    Where Redis has no hash, the state is read (again) after its version was stored there: a
    revocation since then has raised that version, and a Redis that has lost its data does not have
    it. Raises `ServiceUnavailable`, and Django's `OperationalError` and `InterfaceError`.
    """
    for create in (NEVER, IF_MARKED):
        people = person_queries.get_people(person_ids)
        results = _write(people, create)
        person_ids = tuple(
            person.id for person, result in zip(people, results, strict=False) if result == MARKED
        )
        if not person_ids:
            return


def write_profiles(people: Sequence[Person | Tombstone]) -> int:
    """Writes these states unless Redis has newer ones, also where it has none; returns how many.

    Half of the cost is saved by `HSETEX FNX`, which writes a hash if none of its fields exists; it
    needs Valkey 9 or Redis 8. Raises `RedisError`.
    """
    new = [person for person in people if isinstance(person, Person)]
    hashes = ((profile.redis_key(person.id), profile.to_hash(person)) for person in new)
    commands: Iterable[tuple[Argument, ...]] = (
        ("HSETEX", key, "FNX", "FIELDS", len(fields), *chain.from_iterable(fields.items()))
        for key, fields in hashes
    )
    try:
        created: list[int] = execute_pipeline(get_bulk_pool(), commands)
    except ResponseError:
        created = [0] * len(new)  # the script can write them, or fails with the reason
    now = time.time()
    existing: list[Person | Tombstone] = [
        *(person for person, is_new in zip(new, created, strict=True) if not is_new),
        *(p for p in people if isinstance(p, Tombstone) and not is_expired(p, now)),
    ]
    calls = (encode_call(person, ALWAYS) for person in existing)
    results: list[int] = run_script(get_bulk_pool(), WRITE, calls)
    return sum(created) + results.count(WRITTEN)


def sleep_max_staleness() -> None:
    """Sleeps until no reader uses a client-side cache entry from before the last write, or reads
    from a server that was the primary before.

    Readers are notified of a write slightly after its writer; see `api.reads.client_cache`.
    """
    staleness = max(settings.CLIENT_CACHE_MAX_STALENESS, get_pool().seconds_until_settled())
    if staleness:
        _never_set.wait(staleness + _CLOCK_DRIFT)


def _write(
    people: Sequence[Person | Tombstone], create: str, signed_up_at: datetime | None = None
) -> list[int]:
    """Returns the script's results, conflicts resolved; none if a hash that is not stored needs too
    much memory.

    Without that memory nothing of it is stored, so no session of it can be read.
    """
    with translate_redis_errors():
        calls = (encode_call(person, create, signed_up_at) for person in people)
        try:
            results: list[int] = run_script(get_pool(), WRITE, calls)
        except OutOfMemoryError:
            log.warning("redis_out_of_memory")
            return []
    if CONFLICT in results:
        resolve_conflicts(
            [p.id for p, result in zip(people, results, strict=True) if result == CONFLICT]
        )
    return results
