"""Compares the profile Redis with Postgres, during live traffic.

Redis is written after the commit: what is read from Redis first, and from Postgres after it, may be
behind Postgres for a moment, but never ahead of it, nor of an unknown person, unless Postgres has
lost commits: in a failover, or because it was restored to an older state.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import batched, chain
from threading import Event
from typing import NamedTuple
from uuid import UUID

from domain import profile
from domain.model.person import Person, Tombstone
from domain.postgres import person_queries
from domain.projection import people_pages, write_script
from domain.projection.client import get_bulk_pool, get_pool
from domain.projection.redis_command import execute, execute_pipeline, scan_keys

RESULT_KEY = "profile:verify"  # a hash in the profile Redis, for the metrics
FINISHED_AT = "finished_at"  # its field with the Unix time
_MAX_CANDIDATES = 40_000  # people who await their recheck
_CLOCK_SKEW = 60  # seconds


class Kind(StrEnum):
    """The kinds of differences."""

    MISSING = "missing"
    STALE = "stale"
    ORPHAN = "orphan"  # of no person or tombstone
    MISMATCH = "mismatch"  # the right version with other content
    AHEAD = "ahead"  # a version above that in Postgres, which has lost commits
    ERASED = "erased"  # a tombstone of a person that Postgres has: it has lost the erasure


class Difference(NamedTuple):
    """A hash that differs: `redis_version` is the raw version in it, and `person` is the state in
    Postgres, None if there is no such person.
    """

    id: UUID
    kind: Kind
    redis_version: bytes
    person: Person | Tombstone | None


class Batch(NamedTuple):
    """A step of the comparison: how many hashes it compared, the fraction done so far, and the
    confirmed differences.
    """

    hash_count: int
    fraction: float
    differences: list[Difference]


def verify_people(grace_period: float, stop_event: Event) -> Iterator[Batch]:
    """Compares the hashes of all people, until `stop_event` is set.

    A commit may take `grace_period` seconds to reach Redis before its hash counts as missing or
    stale. Raises Django's `OperationalError` and `InterfaceError`, or `RedisError`, when Postgres
    or Redis is unavailable.
    """
    candidates: dict[UUID, int] = {}  # their versions in Postgres
    for page in people_pages.iter_people_pages(person_queries.NIL_UUID):
        hashes = _get_hashes(person.id for person in page)
        for person, stored in zip(page, hashes, strict=True):
            if _classify(person, stored):
                candidates[person.id] = person.version
        fraction = people_pages.id_fraction(page[-1].id)
        yield Batch(len(page), fraction, [])
        if len(candidates) >= _MAX_CANDIDATES:
            for differences in _recheck(candidates, grace_period, stop_event):
                yield Batch(0, fraction, differences)
            candidates = {}
    for differences in _recheck(candidates, grace_period, stop_event):
        yield Batch(0, 1.0, differences)


def find_orphans() -> Iterator[Batch]:
    """Scans all hashes for those of unknown people. Raises as `verify_people` does."""
    pools = [pool for pool, _ in get_bulk_pool().primaries()]
    scanned, key_count = 0, max(1, sum(execute(pool, "DBSIZE") for pool in pools))
    scans = (scan_keys(pool, profile.KEY_PATTERN, people_pages.PAGE_SIZE) for pool in pools)
    for keys in chain.from_iterable(scans):
        ids = set(map(profile.parse_redis_key, keys))
        unknown = ids - person_queries.get_versions(ids).keys()
        orphans = [d for d in compare_now(list(unknown)) if d.kind is Kind.ORPHAN]
        scanned += len(ids)
        yield Batch(len(ids), min(1.0, scanned / key_count), orphans)


def save_result(counts: Mapping[Kind, int]) -> None:
    """Stores how many differences of each kind are left after a whole comparison."""
    fields: Iterable[str | int] = chain.from_iterable(counts.items())
    execute(get_pool(), "HSET", RESULT_KEY, FINISHED_AT, int(time.time()), *fields)


def load_result() -> dict[str, float]:
    """Returns what `save_result` has stored last, {} if nothing. Raises `RedisError`."""
    stored: dict[bytes, bytes] = execute(get_pool(), "HGETALL", RESULT_KEY)
    return {name.decode(): float(value) for name, value in stored.items()}


def compare_now(ids: Sequence[UUID]) -> list[Difference]:
    """Returns what differs at this moment, writes in flight included."""
    hashes = _get_hashes(ids)
    states = {person.id: person for person in person_queries.get_people(ids)}
    return [
        Difference(person_id, kind, stored.get(profile.VERSION, b""), states.get(person_id))
        for person_id, stored in zip(ids, hashes, strict=True)
        if (kind := _classify(states.get(person_id), stored))
    ]


def _get_hashes(ids: Iterable[UUID]) -> list[dict[bytes, bytes]]:
    """Returns the profile hashes, {} where there is none."""
    return execute_pipeline(get_bulk_pool(), (("HGETALL", profile.redis_key(id_)) for id_ in ids))


def _recheck(
    versions: dict[UUID, int], grace_period: float, stop_event: Event
) -> Iterator[list[Difference]]:
    """Compares candidates again after the grace period; drops what later writes explain."""
    if versions and not stop_event.wait(grace_period):
        for ids in batched(versions, people_pages.PAGE_SIZE):
            yield [d for d in compare_now(ids) if not _is_in_flight(d, versions[d.id])]


def _is_in_flight(difference: Difference, checked_version: int) -> bool:
    """Returns whether Redis has the version of the first check, and only later ones are missing."""
    if difference.kind not in (Kind.STALE, Kind.MISMATCH) or not difference.redis_version.isdigit():
        return False
    redis_version = int(difference.redis_version)
    return redis_version > checked_version or (
        difference.kind is Kind.STALE and redis_version == checked_version
    )


def _classify(person: Person | Tombstone | None, stored: dict[bytes, bytes]) -> Kind | None:
    """Returns the kind of difference of a hash ({} if there is none), None if it is right."""
    if person is None:
        return Kind.ORPHAN if stored else None
    version = stored.get(profile.VERSION, b"")
    if profile.is_tombstone(stored) and isinstance(person, Person):
        return Kind.ERASED
    if version.isdigit() and int(version) > person.version:
        return Kind.AHEAD
    if profile.ETAG not in stored:  # at most its version and sessions: a cache miss for readers
        is_expired = isinstance(person, Tombstone) and write_script.is_expired(person, time.time())
        return None if is_expired else Kind.MISSING
    expected = profile.to_hash(person)
    if stored == expected:
        return None
    if version.isdigit() and int(version) != person.version:
        return Kind.STALE
    return None if _is_equal(stored, expected) else Kind.MISMATCH


def _is_equal(stored: dict[bytes, bytes], expected: dict[bytes, bytes]) -> bool:
    """Returns whether two hashes are equal but for sessions that have ended.

    Sessions expire in Postgres by the clock, and leave Redis with the next write, if at all. What
    Redis knows to be revoked stays so, also if Postgres has lost that.
    """
    at = time.time() + _CLOCK_SKEW
    expected = {
        name: value for name, value in expected.items() if not profile.is_revoked(stored.get(name))
    }
    return profile.without_ended_sessions(stored, at) == profile.without_ended_sessions(
        expected, at
    )
