"""`manage.py people erase ID`: erases a person, and prints what is left; `people export ID` prints
all data that is kept about a person.
"""

from argparse import ArgumentParser
from datetime import UTC
from typing import Any
from uuid import UUID

import orjson
from django.core.management.base import BaseCommand, CommandError

from api.writes.after_commit import project_revocation
from domain import profile
from domain.commands import accounts
from domain.model.errors import ServiceUnavailable
from domain.model.person import Tombstone
from domain.postgres import erasure_proof, person_export, person_queries
from domain.postgres.unit_of_work import unit_of_work
from domain.projection import writer
from domain.projection.client import get_pool, translate_redis_errors
from domain.projection.redis_command import execute

_REDIS_UNAVAILABLE = (
    "Redis is unavailable and may still hold the profile. The outbox entry writes the tombstone"
    " once Redis has recovered; run this again to check."
)


class Command(BaseCommand):
    requires_system_checks = ()
    help = (
        "erase ID: deletes a person as DELETE of the profile does, and prints what is left; may be"
        " repeated. Exit status: 0 if the erasure is complete; 1 if not, or if the id is unknown; 2"
        " if Redis is unavailable and the outbox completes it. export ID: prints all data about a"
        " person as JSON."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["erase", "export"])
        parser.add_argument("id", help="the person's id, from the sign-up response")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            person_id = UUID(options["id"])
        except ValueError:
            raise CommandError("The id must have 32 hexadecimal digits.") from None
        if options["action"] == "export":
            self.stdout.write(_export(person_id))
        else:
            self._erase(person_id)

    def _erase(self, person_id: UUID) -> None:
        tombstone, redis_hash = _erase_person(person_id)
        deleted_at = tombstone.deleted_at.astimezone(UTC).isoformat(" ", "seconds")
        self.stdout.write(f"{person_id} was erased at {deleted_at}, version {tombstone.version}.")
        rows = erasure_proof.count_rows_by_table(person_id)
        self.stdout.write("Rows with this id:")
        self.stdout.writelines(f"  {kind:<16}{count:>3}\n" for kind, count in rows.items())
        if redis_hash is None:
            raise CommandError(_REDIS_UNAVAILABLE, returncode=2)
        is_tombstone = redis_hash == profile.to_hash(tombstone)
        key, fields = profile.redis_key(person_id), b", ".join(sorted(redis_hash)).decode()
        self.stdout.write(f"In Redis, {key} is {'' if is_tombstone else 'NOT '}a tombstone.")
        self.stdout.write(f"  fields: {fields or 'none'}")
        rows["OutboxEntry"] -= 1  # until it is purged
        rows["Tombstone"] -= 1
        rows.pop("Event")  # ids only, until they are purged
        if not is_tombstone or any(count > 0 for count in rows.values()):
            raise CommandError("The erasure is not complete.")


def _export(person_id: UUID) -> str:
    """Returns all data about a person as JSON."""
    try:
        with unit_of_work():
            export = person_export.export_person(person_id)
    except ServiceUnavailable:
        raise CommandError("Postgres is unavailable.") from None
    if export is None:
        raise CommandError(f"No person has the id {person_id}.")
    return orjson.dumps(export, option=orjson.OPT_INDENT_2).decode()


def _erase_person(person_id: UUID) -> tuple[Tombstone, dict[bytes, bytes] | None]:
    """Erases a person; returns the tombstone and the hash in Redis (None: Redis is unavailable)."""
    try:
        committed = accounts.erase_person(person_id, unit_of_work)
    except ServiceUnavailable:
        raise CommandError("Postgres is unavailable: nothing was done.") from None
    tombstone = committed.person if committed else person_queries.get_person(person_id)
    if not isinstance(tombstone, Tombstone):
        raise CommandError(f"No person or tombstone has the id {person_id}.")
    try:
        if committed:
            project_revocation(committed)
        else:
            writer.project(person_id)
        with translate_redis_errors():
            fields = execute(get_pool(), "HGETALL", profile.redis_key(person_id))
        return tombstone, fields
    except ServiceUnavailable:
        return tombstone, None
