"""The profile Redis made anew from Postgres, beside live traffic."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from uuid import UUID

from domain.person import Gone, Person
from domain.stores import bulk, people, profiles

_WRITERS = 2  # one makes the hashes of a page while the other waits for Redis


@dataclass(frozen=True, slots=True)
class Done:
    """A page that stands in Redis: its last person, how many were read, how many were written."""

    place: UUID
    people: int
    written: int


def rebuild(after: UUID = people.FIRST) -> Iterator[Done]:
    """Write the hash of everybody with an id above `after`, unless one as new stands; by pages.

    Whatever was yielded is done, so its `place` is where another run may go on. Raises Django's
    `OperationalError` and `InterfaceError`, or `RedisError`, when Postgres or Redis is away.
    """
    writing: deque[tuple[list[Person | Gone], Future[int]]] = deque()

    def finish() -> Done:
        nonlocal after
        page, written = writing.popleft()
        done = Done(page[-1].id, len(page), written.result())
        _settle(after, page)
        after = done.place
        return done

    with ThreadPoolExecutor(_WRITERS) as writers:
        for page in bulk.pages(after):
            writing.append((page, writers.submit(profiles.publish_all, page)))
            if len(writing) > _WRITERS:
                yield finish()
        while writing:
            yield finish()


def _settle(after: UUID, page: list[Person | Gone]) -> None:
    """Write those of a page again who have changed since it was read.

    Their newer hash stands, unless Redis has lost it meanwhile: then an older one was written,
    with a session in it, perhaps, that has ended.
    """
    written = {person.id: person.version for person in page}
    if people.versions_between(after, page[-1].id) == sum(written.values()):
        return
    for person in people.load_all(list(written)):
        if person.version != written[person.id]:
            profiles.refresh(person.id)
