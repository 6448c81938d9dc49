"""`manage.py people erase ID`: erases a person, and prints what is left."""

from argparse import ArgumentParser
from datetime import UTC
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from api.writes.base import project_revocation
from domain import profile
from domain.commands import accounts
from domain.model.errors import ServiceUnavailable
from domain.model.person import Tombstone
from domain.postgres import erasure_proof
from domain.postgres import person_queries as person_queries
from domain.postgres.unit_of_work import unit_of_work
from domain.projection import writer

_REDIS_UNAVAILABLE = (
    "Redis is unavailable and may still hold the profile. The outbox entry writes the tombstone"
    " once Redis has recovered; run this again to check."
)
# What is left of an erased person; the outbox entry only until it is purged.
_EXPECTED_ROWS = {"Tombstone": (1, 1), "OutboxEntry": (0, 1)}
_TOMBSTONE_FIELDS = {profile.BODY, profile.ETAG, profile.VERSION, profile.DELETED_AT}


class Command(BaseCommand):
    requires_system_checks = ()
    help = (
        "erase ID: deletes a person as DELETE of the profile does, and prints what is left; may be"
        " repeated. Exit status: 0 if the erasure is complete; 1 if not, or if the id is unknown; 2"
        " if Redis is unavailable and the outbox completes it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        erase = actions.add_parser("erase", help="erase a person")
        erase.add_argument("id", help="the person's id, from the sign-up response")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            person_id = UUID(options["id"])
        except ValueError:
            raise CommandError("The id must have 32 hexadecimal digits.") from None
        tombstone, redis_hash = _erase(person_id)
        deleted_at = tombstone.deleted_at.astimezone(UTC).isoformat(" ", "seconds")
        self.stdout.write(f"{person_id} was erased at {deleted_at}, version {tombstone.version}.")
        is_correct = self._check_postgres(person_id)
        if redis_hash is None:
            raise CommandError(_REDIS_UNAVAILABLE, returncode=2)
        if not (self._check_redis(tombstone, redis_hash) and is_correct):
            raise CommandError("The erasure is not complete.")

    def _check_postgres(self, person_id: UUID) -> bool:
        self.stdout.write("Rows with this id:")
        is_correct = True
        for kind, count in erasure_proof.count_rows_by_table(person_id).items():
            minimum, maximum = _EXPECTED_ROWS.get(kind, (0, 0))
            is_correct &= minimum <= count <= maximum
            self.stdout.write(f"  {kind:<16}{count:>3}")
        return is_correct

    def _check_redis(self, tombstone: Tombstone, fields: dict[bytes, bytes]) -> bool:
        is_correct = fields == profile.to_hash(tombstone)
        names = (
            ", ".join(sorted(name.decode() for name in fields.keys() & _TOMBSTONE_FIELDS)) or "none"
        )
        others = len(fields.keys() - _TOMBSTONE_FIELDS)
        self.stdout.write(
            f"In Redis, {profile.redis_key(tombstone.id)} is {'' if is_correct else 'NOT '}"
            "a tombstone.\n"
            f"  fields: {names}{f' and {others} others' if others else ''}\n"
            f"  body:   {len(fields.get(profile.BODY, b''))} bytes\n"
            f"  version {fields.get(profile.VERSION, b'none').decode()}"
        )
        return is_correct


def _erase(person_id: UUID) -> tuple[Tombstone, dict[bytes, bytes] | None]:
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
        return tombstone, writer.get_hash(person_id)
    except ServiceUnavailable:
        return tombstone, None
