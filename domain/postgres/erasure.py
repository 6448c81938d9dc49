"""Erases people: all rows but a tombstone each, the outbox entry that projects it, and events,
which have no personal data.
"""

from collections.abc import Mapping
from uuid import UUID

from domain.commands.ports import CommandResult
from domain.model.person import Tombstone
from domain.postgres import events, models, outbox
from domain.postgres.sql import execute, fetch_all

_INSERT_TOMBSTONES = """
    INSERT INTO rollcall_tombstone (id, version)
    SELECT * FROM unnest(%s::uuid[], %s::bigint[]) RETURNING id, version, deleted_at
"""


def erase_locked(versions: Mapping[UUID, int]) -> list[CommandResult[Tombstone]]:
    """Erases people, by id with their versions, whose rows the caller's transaction has locked: so
    none gets another row. Returns the results, with an outbox entry each.
    """
    ids = list(versions)
    # Foreign keys are checked at the commit, so in any order. Those of later tables too.
    for relation in models.Person._meta.related_objects:
        table, column = relation.related_model._meta.db_table, relation.field.column
        execute(f"DELETE FROM {table} WHERE {column} = ANY(%s)", [ids])  # noqa: S608  # of our models
    execute("DELETE FROM rollcall_person WHERE id = ANY(%s)", [ids])
    rows = fetch_all(_INSERT_TOMBSTONES, [ids, [version + 1 for version in versions.values()]])
    tombstones = [Tombstone(*row) for row in rows]
    events.add_deletions(tombstones)
    refs = outbox.add_projections([tombstone.id for tombstone in tombstones])
    return [CommandResult(each, [ref]) for each, ref in zip(tombstones, refs, strict=True)]
