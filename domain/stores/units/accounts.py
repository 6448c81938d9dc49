"""Somebody's account: who is calling, what changes, and what stays when they leave."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import F
from django.db.models.functions import Now

from domain import limits
from domain.address import Address, Channel, key_of
from domain.errors import InvalidToken, RateLimited
from domain.limits import Rule
from domain.person import Gone, Person
from domain.ports import Committed
from domain.session import Token
from domain.stores import models, pauses, tallies
from domain.stores.people import state_of


class Accounts:
    """The part of a unit of work that changes accounts."""

    def follow_up(self, person_id: UUID) -> list[int]:
        return [work_row(models.Outbox.Kind.PROFILE, person_id)]

    def live_session(self, digest: bytes, now: datetime) -> UUID | None:
        row = models.Session.objects.filter(digest=digest, expires_at__gt=now)
        return row.values_list("person_id", flat=True).first()

    def caller(self, token: Token, now: datetime) -> Person:
        # The person is locked first: whoever ends the session does that under the same lock.
        row = models.Person.objects.select_for_update().filter(id=token.person_id).first()
        if row is None or self.live_session(token.digest, now) != token.person_id:
            raise InvalidToken
        return state_of(row)

    def exists(self, person_id: UUID) -> bool:
        return models.Person.objects.select_for_update().filter(id=person_id).exists()

    def changed(self, person_id: UUID) -> Committed[Person]:
        models.Person.objects.filter(id=person_id).update(version=F("version") + 1)
        outbox_ids = self.follow_up(person_id)
        return Committed(state_of(models.Person.objects.get(id=person_id)), outbox_ids)

    def save(self, person: Person) -> None:
        models.Person.objects.filter(id=person.id).update(
            name=person.name,
            surname=person.surname,
            email=person.email,
            email_key=key_of(Channel.EMAIL, person.email),
            phone=person.phone,
            hobbies=list(person.hobbies),
        )

    def end_confirmations(self, person_id: UUID, channel: Channel) -> None:
        _open(person_id, channel).update(ended_at=Now())

    def open_confirmation(
        self, person_id: UUID, address: Address, salt: bytes, key: bytes, replaces: str = ""
    ) -> list[int]:
        # However often the address changes: nobody has us write to more than a few a day.
        rule = Rule(settings.MESSAGES_A_DAY)
        if wait := _seconds(pauses.of(person_id, address.channel, rule)):
            raise RateLimited(wait)
        self.end_confirmations(person_id, address.channel)
        row = models.Confirmation.objects.create(
            person_id=person_id,
            channel=address.channel,
            address=address.value,
            address_key=address.key,
            salt=salt,
            key_id=key,
            replaces=replaces,
        )
        kinds = [models.Outbox.Kind.CONFIRMATION]
        if replaces:
            kinds.append(models.Outbox.Kind.CHANGE_NOTICE)
        return [work_row(kind, person_id, confirmation=row) for kind in kinds]

    def waiting_address(self, person_id: UUID, channel: Channel) -> tuple[Address, str] | None:
        row = _open(person_id, channel).first()
        if row is not None:
            return Address(channel, row.address, row.address_key), row.replaces
        person = models.Person.objects.get(id=person_id)
        if getattr(person, f"{channel}_verified_at") is not None:
            return None
        value: str = getattr(person, channel)
        return Address(channel, value, key_of(channel, value)), ""

    def resend_wait(self, person_id: UUID, channel: Channel) -> int:
        return _seconds(pauses.of_resend(person_id, channel))

    def end_sessions(self, person_id: UUID, digest: bytes | None = None) -> None:
        rows = models.Session.objects.filter(person_id=person_id)
        (rows if digest is None else rows.filter(digest=digest)).delete()

    def forget(self, person_id: UUID, unless_confirmed: bool = False) -> Committed[Gone] | None:
        row = models.Person.objects.select_for_update().filter(id=person_id).first()
        if row is None or (unless_confirmed and (row.email_verified_at or row.phone_verified_at)):
            return None
        for table in (models.Outbox, models.SignIn):
            table.objects.filter(person_id=person_id).delete()
        gone = models.Gone.objects.create(id=person_id, version=row.version + 1)
        gone.refresh_from_db()
        row.delete()
        for channel in Channel:
            tallies.clear(tallies.failures(person_id.bytes, channel))
        outbox_ids = self.follow_up(person_id)
        return Committed(Gone(gone.id, gone.version, gone.gone_at), outbox_ids)


def _open(person_id: UUID, channel: Channel) -> Any:
    return models.Confirmation.objects.filter(
        person_id=person_id, channel=channel, confirmed_at=None, ended_at=None
    )


def _seconds(pause: tuple[timedelta, datetime]) -> int:
    """The whole seconds of a pause, 0 if there is none."""
    wait, _ = pause
    return limits.seconds(wait) if wait else 0


def work_row(kind: models.Outbox.Kind, person_id: UUID | None, **about: Any) -> int:
    row = models.Outbox.objects.create(
        kind=kind, person_id=person_id, due_at=Now() + settings.OUTBOX_LEASE, **about
    )
    return int(row.pk)
