"""Rebuilds the profile Redis from Postgres, during live traffic."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from uuid import UUID

from domain.model.person import Person, Tombstone
from domain.postgres import person_queries
from domain.projection import pipeline, writer

_WRITER_THREADS = 2  # one encodes a page while the other waits for Redis


@dataclass(frozen=True, slots=True)
class RebuiltPage:
    """A page that is written to Redis: its last id, and how many people were read and written."""

    last_id: UUID
    people_count: int
    written_count: int


def rebuild(after: UUID = person_queries.NIL_UUID) -> Iterator[RebuiltPage]:
    """Writes the hashes of the ids above `after`, by pages; keeps those that are up to date.

    A page is yielded once it is written: another run may resume after its `last_id`. Raises
    Django's `OperationalError` and `InterfaceError`, or `RedisError`, when Postgres or Redis is
    unavailable.
    """
    writing: deque[tuple[list[Person | Tombstone], Future[int]]] = deque()

    def finish_page() -> RebuiltPage:
        nonlocal after
        page, written = writing.popleft()
        rebuilt = RebuiltPage(page[-1].id, len(page), written.result())
        _rewrite_changed(after, page)
        after = rebuilt.last_id
        return rebuilt

    with ThreadPoolExecutor(_WRITER_THREADS) as writers:
        for page in pipeline.iter_people_pages(after):
            writing.append((page, writers.submit(writer.write_profiles, page)))
            if len(writing) > _WRITER_THREADS:
                yield finish_page()
        while writing:
            yield finish_page()


def _rewrite_changed(after: UUID, page: list[Person | Tombstone]) -> None:
    """Writes those of a page again who have changed since it was read.

    Their newer hash exists, unless Redis has lost it meanwhile: then an older one was written,
    perhaps with a session that has been revoked.
    """
    written = {person.id: person.version for person in page}
    if person_queries.sum_versions(after, page[-1].id) == sum(written.values()):
        return
    for person in person_queries.get_people(list(written)):
        if person.version != written[person.id]:
            writer.project(person.id)
