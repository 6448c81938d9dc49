"""Confirming addresses: tries, codes, and whose an address is."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now

from domain import code, limits, ports
from domain.address import Channel
from domain.errors import AddressTaken, CodeInvalid
from domain.limits import Rule
from domain.person import Person
from domain.stores import models, sms, tallies
from domain.stores.people import state_of

FAILURES = Rule(most=code.FAILURES_A_DAY)


class Confirmations:
    """The part of a unit of work that confirms addresses."""

    def count_try(
        self, person_id: UUID, channel: Channel
    ) -> tuple[ports.Confirmation, bool] | None:
        newest = models.Confirmation.objects.filter(person_id=person_id, channel=channel).order_by(
            "-id"
        )
        counted = models.Confirmation.objects.filter(
            id=newest.values("id")[:1], tries__lt=code.TRIES
        ).update(tries=F("tries") + 1)
        row = newest.annotate(now=Now()).first()
        if row is None:
            return None
        if not counted:
            return _confirmation(row), False
        wait = tallies.take(tallies.failures(person_id.bytes, channel), FAILURES)
        return _confirmation(row, wait), not wait

    def confirmation(self, row_id: int) -> ports.Confirmation | None:
        row = models.Confirmation.objects.filter(id=row_id).annotate(now=Now()).first()
        return _confirmation(row) if row else None

    def name_of(self, person_id: UUID) -> str | None:
        return models.Person.objects.filter(id=person_id).values_list("name", flat=True).first()

    def confirm(self, seed: code.Seed) -> Person | None:
        # The person's row is locked before anything else, by everyone: no two can deadlock.
        person = models.Person.objects.select_for_update().filter(id=seed.person_id).first()
        rows = models.Confirmation.objects.filter(id=seed.row_id, void=False, ended_at=None)
        row = rows.first()
        if person is None or row is None:
            raise CodeInvalid
        if row.confirmed_at is not None:
            _clear(row)
            return None
        self._take_address(person.id, row)
        rows.update(confirmed_at=Now())
        _clear(row)
        rivals = models.Confirmation.objects.filter(
            channel=seed.channel, address_key=seed.address_key, confirmed_at=None
        )
        rivals.exclude(person_id=person.id).update(void=True)
        if seed.channel is Channel.PHONE and row.first_sent_at is not None:
            sms.count_confirmed(row.address, row.first_sent_at)
        person.refresh_from_db()
        return state_of(person)

    def _take_address(self, person_id: UUID, row: models.Confirmation) -> None:
        fields = {row.channel: row.address, f"{row.channel}_verified_at": Now()}
        if row.channel == Channel.EMAIL:
            fields["email_key"] = row.address_key
        try:
            with transaction.atomic():
                models.Person.objects.filter(id=person_id).update(
                    **fields, version=F("version") + 1
                )
        except IntegrityError:
            raise AddressTaken from None


def _clear(row: models.Confirmation) -> None:
    """A success clears the counts, also one that comes again. Locked in the order of counting."""
    models.Confirmation.objects.filter(id=row.pk).update(tries=0)
    tallies.clear(tallies.failures(row.person_id.bytes, Channel(row.channel)))


def _confirmation(row: models.Confirmation, wait: timedelta = limits.NO_TIME) -> ports.Confirmation:
    seed = seed_of(row)
    code_life = code.CODE_LIFETIME[seed.channel]
    return ports.Confirmation(
        seed=seed,
        confirmed=row.confirmed_at is not None,
        void=row.void,
        ended=row.ended_at is not None,
        code_expired=is_over(row, code_life),
        link_expired=is_over(row, code.LINK_LIFETIME),
        retry_after=limits.seconds(wait or _left(row, code_life)),
    )


def seed_of(row: models.Confirmation) -> code.Seed:
    """What the row's code and link are derived from."""
    return code.Seed(
        row_id=row.pk,
        person_id=row.person_id,
        channel=Channel(row.channel),
        address_key=row.address_key,
        salt=bytes(row.salt),
        key_id=bytes(row.key_id),
    )


def is_over(row: models.Confirmation | models.SignIn, lifetime: timedelta) -> bool:
    """Whether `lifetime` has passed since sending was first attempted, by Postgres' clock.

    The row must have been read with `annotate(now=Now())`.
    """
    return _left(row, lifetime) <= timedelta(0)


def _left(row: models.Confirmation | models.SignIn, lifetime: timedelta) -> timedelta:
    now: datetime = row.now  # type: ignore[union-attr]  # an annotation of the query
    return (row.first_sent_at or now) + lifetime - now
