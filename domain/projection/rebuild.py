"""Rebuilds the profile Redis from Postgres, during live traffic."""

from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

from domain.postgres import person_queries
from domain.projection import people_pages, writer
from domain.projection.client import Primary
from domain.projection.people_pages import MAX_ID, Page


class RebuiltPage(NamedTuple):
    """A page that is written to Redis: its last id, and how many people were read and written."""

    last_id: UUID
    people_count: int
    written_count: int


def rebuild(
    after: UUID = person_queries.NIL_UUID,
    last: UUID = MAX_ID,
    *,
    primary: Primary | None = None,
    page_size: int | None = None,
) -> Iterator[RebuiltPage]:
    """Writes the hashes of the ids above `after` up to `last`, by pages of `page_size`; keeps those
    that are up to date. `primary`: only those that it stores.

    A page is yielded once it is written: another run may resume after its `last_id`. Raises
    Django's `OperationalError` and `InterfaceError`, or `RedisError` and `ServiceUnavailable`, when
    Postgres or Redis is unavailable.
    """
    limit = page_size or people_pages.PAGE_SIZE
    while page := person_queries.list_people_after(after, last, limit):
        people = [person for person in page if primary.stores(person.id)] if primary else page
        written_count = writer.write_profiles(people)
        _project_changed(page)
        after = page[-1].id
        yield RebuiltPage(after, len(page), written_count)
        if len(page) < limit:
            return


def _project_changed(page: Page) -> None:
    """Projects the people of a page again who have changed since it was read.

    Their newer hash exists, unless Redis has lost it since: then an older one was written,
    perhaps with a session that has been revoked.
    """
    versions = {person.id: person.version for person in page}
    before, last = UUID(int=page[0].id.int - 1), page[-1].id
    if person_queries.sum_versions(before, last) != sum(versions.values()):
        changed = person_queries.get_versions(versions).items() - versions.items()
        writer.project(*(person_id for person_id, _ in changed))
