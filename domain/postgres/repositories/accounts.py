"""Accounts: locks, updates, and erasure.

The methods are described in `domain.commands.ports.UnitOfWork`.
"""

from typing import Any
from uuid import UUID

from django.db.models import Case, F, When

from domain.commands.ports import CommandResult
from domain.model.address import Address, Channel
from domain.model.person import Person, Tombstone
from domain.postgres import events, locks, models, outbox
from domain.postgres.erasure import erase_locked
from domain.postgres.events import Change
from domain.postgres.models import Event
from domain.postgres.person_queries import reload_person


class AccountRepository:
    """The part of a unit of work that changes accounts."""

    def __init__(self) -> None:
        self._changes: list[Change] = []  # of the locked person, until `bump_version`

    def lock_person(self, person_id: UUID) -> bool:
        return models.Person.objects.select_for_update().filter(id=person_id).exists()

    def bump_version(self, person_id: UUID) -> CommandResult[Person]:
        models.Person.objects.filter(id=person_id).update(version=F("version") + 1)
        outbox_ref = outbox.add(models.OutboxEntry.Kind.PROJECT_PROFILE, person_id)
        person = reload_person(person_id)
        events.add(person_id, person.version, self._changes)
        self._changes.clear()
        return CommandResult(person, [outbox_ref])

    def update_person(self, person: Person) -> None:
        email_canonical = Address(Channel.EMAIL, person.email).canonical
        models.Person.objects.filter(id=person.id).update(
            name=person.name,
            surname=person.surname,
            email=person.email,
            email_canonical=email_canonical,
            email_first_sign_in_at=_unless_changed("email", email_canonical),
            phone=person.phone,
            phone_first_sign_in_at=_unless_changed("phone", person.phone),
            hobbies=list(person.hobbies),
        )
        self._changes.append(Change(Event.Kind.PROFILE_CHANGED))

    def set_locale(self, person_id: UUID, locale: str) -> None:
        models.Person.objects.filter(id=person_id).update(locale=locale)

    def erase(self, person_id: UUID) -> CommandResult[Tombstone] | None:
        row = models.Person.objects.select_for_update().filter(id=person_id).first()
        if row is None:
            return None
        # Before challenges are deleted: none of this person is created from now on.
        for channel, value in {Channel.EMAIL: row.email, Channel.PHONE: row.phone}.items():
            locks.lock_address(Address(channel, value))
        (result,) = erase_locked({person_id: row.version})
        return result


def _unless_changed(channel: str, canonical: str) -> Any:
    """Returns the time of the first sign-in with an address, or NULL if that is another one."""
    column = "email_canonical" if channel == Channel.EMAIL else "phone"
    return Case(When(**{column: canonical}, then=F(f"{channel}_first_sign_in_at")))
