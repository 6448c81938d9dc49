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
from domain.person import Gone, Person
from domain.stores import bulk, people

_SUSPECTS_MOST = 20  # pages whose suspects may wait for their second look
_SOON = 60  # seconds: clocks differ by less


class Kind(StrEnum):
    """What can be wrong with a hash."""

    MISSING = "missing"
    OLD = "old"
    EXTRA = "extra"  # of somebody who never was
    WRONG = "wrong"  # the right version, and other octets
    NEWER = "newer"  # a version that Postgres does not know: it was restored to an older state


@dataclass(frozen=True, slots=True)
class Difference:
    """A hash that is not as it should be: `standing` is its version as it is written there, and
    `person` is what Postgres says, None for somebody who never was.
    """

    id: UUID
    kind: Kind
    standing: bytes
    person: Person | Gone | None


@dataclass(frozen=True, slots=True)
class Step:
    """A piece of the work: how many were looked at, what share of all that makes by now, and
    which differences have become certain.
    """

    count: int
    share: float
    found: list[Difference]


def of_people(patience: float, stopped: Event) -> Iterator[Step]:
    """Compare everybody's hash, until `stopped` is set.

    What was committed may be on its way for `patience` seconds before its hash counts as missing
    or old. Raises Django's `OperationalError` and `InterfaceError`, or `RedisError`, when
    Postgres or Redis is away.
    """
    suspects: deque[tuple[float, dict[UUID, int]]] = deque()

    def looked_at_again(most: int) -> list[Difference]:
        found = []
        while suspects and (len(suspects) > most or suspects[0][0] <= time.monotonic()):
            due, versions = suspects.popleft()
            if stopped.wait(max(0.0, due - time.monotonic())):
                break
            found += _certain(versions)
        return found

    for page in bulk.pages(people.FIRST):
        differing = _suspects(page)
        if differing:
            suspects.append((time.monotonic() + patience, differing))
        yield Step(len(page), bulk.share(page[-1].id), looked_at_again(_SUSPECTS_MOST))
    yield Step(0, 1.0, looked_at_again(0))


def of_nobody() -> Iterator[Step]:
    """Look through all hashes for those of people who never were. Raises as `of_people` does."""
    cursor, seen, redis = 0, 0, bulk.redis()
    keys_in_all = max(1, redis.dbsize())
    while True:
        cursor, keys = redis.scan(cursor, match=profile.KEYS, count=bulk.PAGE)
        ids = {profile.person_of(cast(bytes, key)) for key in keys}
        unknown = ids - people.versions_of(ids).keys()
        found = [each for each in compare(list(unknown)) if each.kind is Kind.EXTRA]
        seen += len(ids)
        yield Step(len(ids), min(1.0, seen / keys_in_all), found)
        if not cursor:
            return


def compare(ids: Sequence[UUID]) -> list[Difference]:
    """What is different at this moment: what is behind may be on its way."""
    hashes = bulk.hashes_of(ids)
    states = {person.id: person for person in people.load_all(ids)}
    return [
        Difference(person_id, kind, found.get(profile.VERSION, b""), states.get(person_id))
        for person_id, found in zip(ids, hashes, strict=True)
        if (kind := _kind(states.get(person_id), found))
    ]


def _suspects(page: list[Person | Gone]) -> dict[UUID, int]:
    """Who of a page differs at first sight, and the version that Postgres has."""
    hashes = bulk.hashes_of([person.id for person in page])
    return {
        person.id: person.version
        for person, found in zip(page, hashes, strict=True)
        if _kind(person, found)
    }


def _certain(versions: dict[UUID, int]) -> list[Difference]:
    """Which of these differ still, and not by what is younger than their first look."""
    return [
        difference
        for difference in compare(list(versions))
        if not _on_its_way(difference, versions[difference.id])
    ]


def _on_its_way(difference: Difference, long_ago: int) -> bool:
    """Whether what was committed `long_ago` has reached Redis, and only newer states may not.

    A hash may also stand for a moment without its ETag: see `profiles.publish`.
    """
    if difference.kind not in (Kind.OLD, Kind.WRONG) or not difference.standing.isdigit():
        return False
    reached = int(difference.standing)
    return reached > long_ago or (difference.kind is Kind.OLD and reached == long_ago)


def _kind(person: Person | Gone | None, found: dict[bytes, bytes]) -> Kind | None:
    """What is wrong with a hash ({} if there is none); None if nothing is."""
    if not found:
        return Kind.MISSING if person else None
    if person is None:
        return Kind.EXTRA
    expected = profile.hash_of(person)
    if found == expected:
        return None
    version = found.get(profile.VERSION, b"")
    if version.isdigit() and int(version) != person.version:
        return Kind.OLD if int(version) < person.version else Kind.NEWER
    # Sessions leave Postgres by the clock, and Redis with the next write, if at all.
    soon = time.time() + _SOON
    same = profile.lasting(found, soon) == profile.lasting(expected, soon)
    return None if same else Kind.WRONG
