"""`manage.py people forget ID`: delete all that is known of a person, and print the proof."""

from argparse import ArgumentParser
from datetime import UTC
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from api.writes.base import after_revocation
from domain import profile
from domain.commands import people
from domain.errors import ServiceUnavailable
from domain.person import Tombstone
from domain.stores import people as stored
from domain.stores import profiles, traces
from domain.stores.unit_of_work import unit_of_work

_REDIS_AWAY = (
    "Redis is away, so the profile may still stand there. The outbox row writes the tombstone as"
    " soon as Redis is back; run this again to see it."
)
# What stays of somebody who is gone; the outbox row too, until it is purged.
_STAYS = {"Tombstone": (1, 1), "OutboxEntry": (0, 1)}
_TOMBSTONE = {profile.BODY, profile.ETAG, profile.VERSION, profile.DELETED_AT}


class Command(BaseCommand):
    requires_system_checks = ()
    help = (
        "forget ID: as DELETE of the profile, for an operator. Prints what is left: run it again to"
        " see that again. Ends with 0 if that is as it should be, 1 if not or if nobody has that"
        " id, 2 if Redis is away and the outbox has to complete it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        forget = verbs.add_parser("forget", help="delete all that is known of a person")
        forget.add_argument("id", help="the person's id, as sign-up answered it")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            person_id = UUID(options["id"])
        except ValueError:
            raise CommandError("That is no id: it has 32 hexadecimal digits.") from None
        gone, in_redis = _forget(person_id)
        when = gone.deleted_at.astimezone(UTC).isoformat(" ", "seconds")
        self.stdout.write(f"{person_id} is forgotten, since {when}, version {gone.version}.")
        right = self._prove_postgres(person_id)
        if in_redis is None:
            raise CommandError(_REDIS_AWAY, returncode=2)
        if not (self._prove_redis(gone, in_redis) and right):
            raise CommandError("This is not as it should be.")

    def _prove_postgres(self, person_id: UUID) -> bool:
        self.stdout.write("Rows that know this id:")
        right = True
        for kind, count in traces.count_rows_by_table(person_id).items():
            least, most = _STAYS.get(kind, (0, 0))
            right &= least <= count <= most
            self.stdout.write(f"  {kind:<16}{count:>3}")
        return right

    def _prove_redis(self, gone: Tombstone, fields: dict[bytes, bytes]) -> bool:
        right = fields == profile.to_hash(gone)
        names = ", ".join(sorted(name.decode() for name in fields.keys() & _TOMBSTONE)) or "none"
        others = len(fields.keys() - _TOMBSTONE)
        self.stdout.write(
            f"In Redis, {profile.redis_key(gone.id)} is {'a' if right else 'NOT a'} tombstone.\n"
            f"  fields: {names}{f' and {others} others' if others else ''}\n"
            f"  body:   {len(fields.get(profile.BODY, b''))} octets\n"
            f"  version {fields.get(profile.VERSION, b'none').decode()}"
        )
        return right


def _forget(person_id: UUID) -> tuple[Tombstone, dict[bytes, bytes] | None]:
    """Forget a person, now or once more: what stays, and their hash in Redis (None: it is away)."""
    try:
        committed = people.erase_person(person_id, unit_of_work)
    except ServiceUnavailable:
        raise CommandError("Postgres is away: nothing was done.") from None
    gone = committed.person if committed else stored.get_person(person_id)
    if not isinstance(gone, Tombstone):
        raise CommandError(f"Nobody has the id {person_id}, and nobody who is gone had it.")
    try:
        if committed:
            after_revocation(committed)
        else:
            profiles.project(person_id)
        return gone, profiles.get_hash(person_id)
    except ServiceUnavailable:
        return gone, None
