"""People as Postgres has them now."""

from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Now

from domain.address import Address, Channel
from domain.person import Gone, LiveSession, Person
from domain.session import SESSIONS_MAX
from domain.stores import models


def load(person_id: UUID) -> Person | Gone | None:
    """The person's current state, None if there never was such a person. Two queries."""
    row = models.Person.objects.filter(id=person_id).first()
    if row is not None:
        return state_of(row)
    gone = models.Gone.objects.filter(id=person_id).first()
    return Gone(gone.id, gone.version, gone.gone_at) if gone else None


def version_of(person_id: UUID) -> int | None:
    """The person's current (or last) version, None if there never was such a person."""
    here = models.Person.objects.filter(id=person_id).values_list("version")
    gone = models.Gone.objects.filter(id=person_id).values_list("version")
    row = next(iter(here.union(gone, all=True)), None)
    return row[0] if row else None


def with_address(address: Address, most: int = 100) -> list[UUID]:
    """Who has confirmed that address, and who claims it: up to `most` ids.

    Both look-ups have an index; the addresses as they stand in profiles have none.
    """
    owners = models.Person.objects.filter(owner_of(address)).values_list("id", flat=True)
    claims = models.Confirmation.objects.filter(
        channel=address.channel, address_key=address.key, confirmed_at=None, ended_at=None
    ).values_list("person_id", flat=True)
    return [*owners, *claims[:most]]


def owner_of(address: Address) -> Q:
    """People who have confirmed that address: one at most."""
    if address.channel is Channel.EMAIL:
        return Q(email_key=address.key, email_verified_at__isnull=False)
    return Q(phone=address.key, phone_verified_at__isnull=False)


def state_of(row: models.Person) -> Person:
    """A person's row, and the sessions that live by Postgres' clock, as one state."""
    sessions = row.sessions.filter(expires_at__gt=Now()).order_by("-id")[:SESSIONS_MAX]
    return Person(
        id=row.id,
        version=row.version,
        name=row.name,
        surname=row.surname,
        email=row.email,
        phone=row.phone,
        hobbies=tuple(row.hobbies),
        email_verified=row.email_verified_at is not None,
        phone_verified=row.phone_verified_at is not None,
        sessions=tuple(LiveSession(bytes(s.digest), s.expires_at) for s in sessions),
    )
