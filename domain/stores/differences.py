"""Where the profile Redis is not what Postgres says, beside live traffic.

Redis is written after the commit: what was read from Redis first, and from Postgres after it,
can be behind Postgres for a moment, but never ahead of it, nor know of somebody who is unknown.
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
from domain.person import Person, Tombstone
from domain.stores import bulk, people

_MAX_PENDING_PAGES = 20  # pages whose suspects may wait for their second look
_CLOCK_SKEW = 60  # seconds: clocks differ by less


class Kind(StrEnum):
    """What can be wrong with a hash."""

    MISSING = "missing"
    STALE = "stale"
    ORPHAN = "orphan"  # of somebody who never was
    MISMATCH = "mismatch"  # the right version, and other octets
    AHEAD = "ahead"  # a version that Postgres does not know: it was restored to an older state


@dataclass(frozen=True, slots=True)
class Difference:
    """A hash that is not as it should be: `standing` is its version as it is written there, and
    `person` is what Postgres says, None for somebody who never was.
    """

    id: UUID
    kind: Kind
    redis_version: bytes
    person: Person | Tombstone | None


@dataclass(frozen=True, slots=True)
class Batch:
    """A piece of the work: how many were looked at, what share of all that makes by now, and
    which differences have become certain.
    """

    count: int
    fraction: float
    differences: list[Difference]


def verify_people(grace_period: float, stop_event: Event) -> Iterator[Batch]:
    """Compare everybody's hash, until `stopped` is set.

    What was committed may be on its way for `patience` seconds before its hash counts as missing
    or old. Raises Django's `OperationalError` and `InterfaceError`, or `RedisError`, when
    Postgres or Redis is away.
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

    for page in bulk.iter_people_pages(people.NIL_UUID):
        candidates = _find_candidates(page)
        if candidates:
            pending.append((time.monotonic() + grace_period, candidates))
        yield Batch(len(page), bulk.id_fraction(page[-1].id), recheck_due(_MAX_PENDING_PAGES))
    yield Batch(0, 1.0, recheck_due(0))


def find_orphans() -> Iterator[Batch]:
    """Look through all hashes for those of people who never were. Raises as `of_people` does."""
    cursor, scanned, client = 0, 0, bulk.get_bulk_client()
    key_count = max(1, client.dbsize())
    while True:
        cursor, keys = client.scan(cursor, match=profile.KEY_PATTERN, count=bulk.PAGE_SIZE)
        ids = {profile.parse_redis_key(cast(bytes, key)) for key in keys}
        unknown = ids - people.get_versions(ids).keys()
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
    """What is different at this moment: what is behind may be on its way."""
    hashes = bulk.get_hashes(ids)
    states = {person.id: person for person in people.get_people(ids)}
    return [
        Difference(person_id, kind, stored.get(profile.VERSION, b""), states.get(person_id))
        for person_id, stored in zip(ids, hashes, strict=True)
        if (kind := _classify(states.get(person_id), stored))
    ]


def _find_candidates(page: list[Person | Tombstone]) -> dict[UUID, int]:
    """Who of a page differs at first sight, and the version that Postgres has."""
    hashes = bulk.get_hashes([person.id for person in page])
    return {
        person.id: person.version
        for person, stored in zip(page, hashes, strict=True)
        if _classify(person, stored)
    }


def _recheck(versions: dict[UUID, int]) -> list[Difference]:
    """Which of these differ still, and not by what is younger than their first look."""
    return [
        difference
        for difference in compare_now(list(versions))
        if not _is_in_flight(difference, versions[difference.id])
    ]


def _is_in_flight(difference: Difference, checked_version: int) -> bool:
    """Whether what was committed `long_ago` has reached Redis, and only newer states may not.

    A hash may also stand for a moment without its ETag: see `profiles.publish`.
    """
    if difference.kind not in (Kind.STALE, Kind.MISMATCH) or not difference.redis_version.isdigit():
        return False
    redis_version = int(difference.redis_version)
    return redis_version > checked_version or (
        difference.kind is Kind.STALE and redis_version == checked_version
    )


def _classify(person: Person | Tombstone | None, stored: dict[bytes, bytes]) -> Kind | None:
    """What is wrong with a hash ({} if there is none); None if nothing is."""
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
    # Sessions leave Postgres by the clock, and Redis with the next write, if at all.
    at = time.time() + _CLOCK_SKEW
    is_equal = profile.without_expired_sessions(stored, at) == profile.without_expired_sessions(
        expected, at
    )
    return None if is_equal else Kind.MISMATCH
