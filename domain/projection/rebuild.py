"""Rebuilds the profile Redis from Postgres, during live traffic."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple
from uuid import UUID

from domain.postgres import person_queries
from domain.projection import writer
from domain.projection.client import Primary
from domain.projection.people_pages import Page, iter_people_pages

_WRITER_THREADS = 2  # one encodes a page while the other waits for Redis


class RebuiltPage(NamedTuple):
    """A page that is written to Redis: its last id, and how many people were read and written."""

    last_id: UUID
    people_count: int
    written_count: int


def rebuild(
    after: UUID = person_queries.NIL_UUID,
    primary: Primary | None = None,
    page_size: int | None = None,
) -> Iterator[RebuiltPage]:
    """Writes the hashes of the ids above `after`, by pages; keeps those that are up to date.
    `primary`: only those that it stores. `page_size` as in `iter_people_pages`.

    A page is yielded once it is written: another run may resume after its `last_id`. Raises
    Django's `OperationalError` and `InterfaceError`, or `RedisError` and `ServiceUnavailable`, when
    Postgres or Redis is unavailable.
    """
    writing: deque[tuple[Page, Future[int]]] = deque()
    with ThreadPoolExecutor(_WRITER_THREADS) as writers:
        for page in iter_people_pages(after, page_size):
            people = [p for p in page if primary.stores(p.id)] if primary else page
            writing.append((page, writers.submit(writer.write_profiles, people)))
            if len(writing) > _WRITER_THREADS:
                yield _finish_page(*writing.popleft())
        while writing:
            yield _finish_page(*writing.popleft())


def _finish_page(page: Page, written: Future[int]) -> RebuiltPage:
    """Waits until a page is written, and projects those again who have changed since it was read.

    Their newer hash exists, unless Redis has lost it meanwhile: then an older one was written,
    perhaps with a session that has been revoked.
    """
    written_count = written.result()
    versions = {person.id: person.version for person in page}
    before, last = UUID(int=page[0].id.int - 1), page[-1].id
    if person_queries.sum_versions(before, last) != sum(versions.values()):
        changed = person_queries.get_versions(versions).items() - versions.items()
        writer.project(*(person_id for person_id, _ in changed))
    return RebuiltPage(last, len(page), written_count)
