"""Compares the profile Redis with Postgres, during live traffic.

Redis is written after the commit: what is read from Redis first, and from Postgres after it, may be
behind Postgres for a moment, but never ahead of it, nor of an unknown person.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from threading import Event
from typing import cast
from uuid import UUID

from domain import profile
from domain.model.person import Person, Tombstone
from domain.postgres import person_queries
from domain.projection import pipeline

_MAX_PENDING_PAGES = 20  # pages whose candidates may await their recheck
_CLOCK_SKEW = 60  # seconds


class Kind(StrEnum):
    """The kinds of differences."""

    MISSING = "missing"
    STALE = "stale"
    ORPHAN = "orphan"  # of no person or tombstone
    MISMATCH = "mismatch"  # the right version with other content
    AHEAD = "ahead"  # a version above that in Postgres, which was restored to an older state


@dataclass(frozen=True, slots=True)
class Difference:
    """A hash that differs: `redis_version` is the raw version in it, and `person` is the state in
    Postgres, None if there is no such person.
    """

    id: UUID
    kind: Kind
    redis_version: bytes
    person: Person | Tombstone | None


@dataclass(frozen=True, slots=True)
class Batch:
    """A step of the comparison: how many hashes it compared, the fraction done so far, and the
    confirmed differences.
    """

    count: int
    fraction: float
    differences: list[Difference]


def verify_people(grace_period: float, stop_event: Event) -> Iterator[Batch]:
    """Compares everybody's hash, until `stop_event` is set.

    A commit may take `grace_period` seconds to reach Redis before its hash counts as missing or
    stale. Raises Django's `OperationalError` and `InterfaceError`, or `RedisError`, when Postgres
    or Redis is unavailable.
    """
    pending: deque[tuple[float, dict[UUID, int]]] = deque()

    def recheck_due(max_pending: int) -> list[Difference]:
        differences = []
        while pending and (len(pending) > max_pending or pending[0][0] <= time.monotonic()):
            due_at, versions = pending.popleft()
            if stop_event.wait(max(0.0, due_at - time.monotonic())):
                break
            differences += _recheck(versions)
        return differences

    for page in pipeline.iter_people_pages(person_queries.NIL_UUID):
        candidates = _find_candidates(page)
        if candidates:
            pending.append((time.monotonic() + grace_period, candidates))
        yield Batch(len(page), pipeline.id_fraction(page[-1].id), recheck_due(_MAX_PENDING_PAGES))
    yield Batch(0, 1.0, recheck_due(0))


def find_orphans() -> Iterator[Batch]:
    """Scans all hashes for those of unknown people. Raises as `verify_people` does."""
    cursor, scanned, client = 0, 0, pipeline.get_bulk_client()
    key_count = max(1, client.dbsize())
    while True:
        cursor, keys = client.scan(cursor, match=profile.KEY_PATTERN, count=pipeline.PAGE_SIZE)
        ids = {profile.parse_redis_key(cast(bytes, key)) for key in keys}
        unknown = ids - person_queries.get_versions(ids).keys()
        orphans = [
            difference
            for difference in compare_now(list(unknown))
            if difference.kind is Kind.ORPHAN
        ]
        scanned += len(ids)
        yield Batch(len(ids), min(1.0, scanned / key_count), orphans)
        if not cursor:
            return


def compare_now(ids: Sequence[UUID]) -> list[Difference]:
    """Returns what differs at this moment, writes in flight included."""
    hashes = pipeline.get_hashes(ids)
    states = {person.id: person for person in person_queries.get_people(ids)}
    return [
        Difference(person_id, kind, stored.get(profile.VERSION, b""), states.get(person_id))
        for person_id, stored in zip(ids, hashes, strict=True)
        if (kind := _classify(states.get(person_id), stored))
    ]


def _find_candidates(page: list[Person | Tombstone]) -> dict[UUID, int]:
    """Returns the people of a page whose hash differs, and their versions in Postgres."""
    hashes = pipeline.get_hashes([person.id for person in page])
    return {
        person.id: person.version
        for person, stored in zip(page, hashes, strict=True)
        if _classify(person, stored)
    }


def _recheck(versions: dict[UUID, int]) -> list[Difference]:
    """Compares candidates again; drops what later writes explain."""
    return [
        difference
        for difference in compare_now(list(versions))
        if not _is_in_flight(difference, versions[difference.id])
    ]


def _is_in_flight(difference: Difference, checked_version: int) -> bool:
    """Returns whether Redis has the version of the first check, and only later ones are missing.

    A hash may also lack its ETag for a moment: see `profiles.write_profile`.
    """
    if difference.kind not in (Kind.STALE, Kind.MISMATCH) or not difference.redis_version.isdigit():
        return False
    redis_version = int(difference.redis_version)
    return redis_version > checked_version or (
        difference.kind is Kind.STALE and redis_version == checked_version
    )


def _classify(person: Person | Tombstone | None, stored: dict[bytes, bytes]) -> Kind | None:
    """Returns the kind of difference of a hash ({} if there is none), None if it is right."""
    if not stored:
        return Kind.MISSING if person else None
    if person is None:
        return Kind.ORPHAN
    expected = profile.to_hash(person)
    if stored == expected:
        return None
    version = stored.get(profile.VERSION, b"")
    if version.isdigit() and int(version) != person.version:
        return Kind.STALE if int(version) < person.version else Kind.AHEAD
    # Sessions expire in Postgres by the clock, and leave Redis with the next write, if at all.
    at = time.time() + _CLOCK_SKEW
    is_equal = profile.without_expired_sessions(stored, at) == profile.without_expired_sessions(
        expected, at
    )
    return None if is_equal else Kind.MISMATCH
