"""Pages of all people, read ahead from Postgres."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from django.db import connections

from domain.model.person import Person, Tombstone
from domain.postgres import person_queries

MAX_ID = UUID(int=(1 << 128) - 1)  # RFC 9562 section 5.10; no id equals it
PAGE_SIZE = 2_000  # people; a page and its hashes take some 5 MB

type Page = list[Person | Tombstone]


def iter_people_pages(after: UUID) -> Iterator[Page]:
    """Yields the people with an id above `after`, in order, by pages; reads one page ahead.

    Raises Django's `OperationalError` and `InterfaceError` when Postgres is unavailable.
    """
    with ThreadPoolExecutor(1) as executor:
        try:
            next_page = executor.submit(person_queries.list_people_after, after, MAX_ID, PAGE_SIZE)
            while page := next_page.result():
                next_page = executor.submit(
                    person_queries.list_people_after, page[-1].id, MAX_ID, PAGE_SIZE
                )
                yield page
        finally:
            executor.submit(connections.close_all).result()  # the thread has its own


def id_fraction(person_id: UUID) -> float:
    """Returns the fraction of all ids up to that one: ids are random (RFC 9562, version 4)."""
    return person_id.int / (1 << 128)
