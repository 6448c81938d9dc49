"""Writes events, in the transaction of the change and under the lock of its person: so the order of
a person's ids is that of the commits.

Without EVENT_WEBHOOK_URL nothing is written, and nothing is asked of Postgres.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from django.conf import settings

from domain.model.person import Tombstone
from domain.postgres.models import Event
from domain.postgres.sql import execute

_INSERT = """
    INSERT INTO rollcall_event (kind, person_id, version, session_id)
    SELECT * FROM unnest(%s::text[], %s::uuid[], %s::bigint[], %s::uuid[])
"""


class Change(NamedTuple):
    """What has changed of a person; `session_id` is that of a session that was revoked."""

    kind: Event.Kind
    session_id: UUID | None = None


def is_enabled() -> bool:
    """Returns whether changes become events."""
    return bool(settings.EVENT_WEBHOOK_URL)


def add(person_id: UUID, version: int, changes: Sequence[Change]) -> None:
    """Adds the events of a locked person's changes, in this order."""
    _insert((change.kind, person_id, version, change.session_id) for change in changes)


def add_deletions(tombstones: Sequence[Tombstone]) -> None:
    """Adds the events of people who are erased."""
    kind = Event.Kind.PERSON_DELETED
    _insert((kind, tombstone.id, tombstone.version, None) for tombstone in tombstones)


def _insert(rows: Iterable[tuple[Event.Kind, UUID, int, UUID | None]]) -> None:
    if is_enabled() and (columns := [list(column) for column in zip(*rows, strict=True)]):
        execute(_INSERT, columns)
