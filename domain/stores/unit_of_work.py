"""The unit of work on Postgres: one transaction, opened and committed here and nowhere else."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import (
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
    transaction,
)
from django.db.models import F
from django.db.models.functions import Now

from domain import code, ports
from domain.address import Address, Channel
from domain.errors import AddressTaken, CodeInvalid, Unavailable
from domain.person import Person
from domain.stores import models
from domain.stores.people import state_of

log = structlog.get_logger(__name__)


# All rows of a sign-up in one statement, and so in one round trip: by way of the ORM they were
# five, and cost 6 ms of CPU instead of 1. Columns that are not named have defaults in the table.
_SIGN_UP = """
    WITH person AS (
        INSERT INTO stores_person
            (id, name, surname, email, email_key, phone, hobbies, version)
        VALUES (%(id)s, %(name)s, %(surname)s, %(email)s, %(email_key)s, %(phone)s,
            %(hobbies)s::text[], %(version)s)
    ), session AS (
        INSERT INTO stores_session (person_id, digest, expires_at)
        SELECT %(id)s, digest, expires_at
        FROM unnest(%(digests)s::bytea[], %(expiries)s::timestamptz[]) AS s (digest, expires_at)
    ), confirmation AS (
        INSERT INTO stores_confirmation
            (person_id, channel, address, address_key, salt, key_id, tries, void)
        SELECT %(id)s, channel, address, address_key, salt, %(key_id)s, 0, false
        FROM unnest(%(channels)s::text[], %(addresses)s::text[], %(keys)s::text[],
            %(salts)s::bytea[]) AS c (channel, address, address_key, salt)
        RETURNING id
    )
    INSERT INTO stores_outbox
        (kind, person_id, confirmation_id, state, due_at, attempts, reason, provider_id)
    SELECT kind, %(id)s, confirmation_id, 'queued', now() + make_interval(secs => %(lease)s),
        0, '', ''
    FROM (
        SELECT 'profile' AS kind, NULL::bigint AS confirmation_id
        UNION ALL SELECT 'confirmation', id FROM confirmation
    ) AS work
    RETURNING id
"""


@contextmanager
def unit_of_work() -> Iterator[ports.Unit]:
    """One transaction on Postgres.

    Raises `Unavailable` when Postgres is away, or answers too late: nothing was promised then,
    and the client may try again.
    """
    try:
        with transaction.atomic():
            yield PostgresUnit()
    except (OperationalError, InterfaceError) as error:
        log.warning("postgres_unavailable", error=type(error.__cause__ or error).__name__)
        raise Unavailable(retry_after=2) from None


class PostgresUnit:
    """`domain.ports.Unit` on Django's ORM."""

    def sign_up(
        self, person: Person, addresses: list[Address], salts: list[bytes], key: bytes
    ) -> list[int]:
        by_channel = {address.channel: address for address in addresses}
        email, phone = by_channel[Channel.EMAIL], by_channel[Channel.PHONE]
        values: dict[str, Any] = {
            "id": person.id,
            "name": person.name,
            "surname": person.surname,
            "email": email.value,
            "email_key": email.key,
            "phone": phone.value,
            "hobbies": list(person.hobbies),
            "version": person.version,
            "digests": [s.digest for s in person.sessions],
            "expiries": [s.expires_at for s in person.sessions],
            "channels": [str(address.channel) for address in addresses],
            "addresses": [address.value for address in addresses],
            "keys": [address.key for address in addresses],
            "salts": salts,
            "key_id": key,
            "lease": settings.OUTBOX_LEASE.total_seconds(),
        }
        with connection.cursor() as cursor:
            cursor.execute(_SIGN_UP, values)
            return [row[0] for row in cursor.fetchall()]

    def follow_up(self, person_id: UUID) -> list[int]:
        row = models.Outbox.objects.create(
            kind=models.Outbox.Kind.PROFILE,
            person_id=person_id,
            due_at=Now() + settings.OUTBOX_LEASE,
        )
        return [row.pk]

    def live_session(self, digest: bytes, now: datetime) -> UUID | None:
        row = models.Session.objects.filter(digest=digest, expires_at__gt=now)
        return row.values_list("person_id", flat=True).first()

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
        return (_confirmation(row), counted == 1) if row else None

    def confirmation(self, row_id: int) -> ports.Confirmation | None:
        row = models.Confirmation.objects.filter(id=row_id).annotate(now=Now()).first()
        return _confirmation(row) if row else None

    def confirm(self, seed: code.Seed) -> Person | None:
        # The person's row is locked before anything else, by everyone: no two can deadlock.
        person = models.Person.objects.select_for_update().filter(id=seed.person_id).first()
        rows = models.Confirmation.objects.filter(id=seed.row_id, void=False, ended_at=None)
        row = rows.first()
        if person is None or row is None:
            raise CodeInvalid
        if row.confirmed_at is not None:
            rows.update(tries=0)  # a success clears the count, also one that comes again
            return None
        self._take_address(person.id, seed.channel)
        rows.update(confirmed_at=Now(), tries=0)
        rivals = models.Confirmation.objects.filter(
            channel=seed.channel, address_key=seed.address_key, confirmed_at=None
        )
        rivals.exclude(person_id=person.id).update(void=True)
        person.refresh_from_db()
        return state_of(person)

    def _take_address(self, person_id: UUID, channel: Channel) -> None:
        try:
            with transaction.atomic():
                models.Person.objects.filter(id=person_id).update(
                    **{f"{channel}_verified_at": Now()}, version=F("version") + 1
                )
        except IntegrityError:
            raise AddressTaken from None


def _confirmation(row: models.Confirmation) -> ports.Confirmation:
    seed = seed_of(row)
    code_life = code.CODE_LIFETIME[seed.channel]
    return ports.Confirmation(
        seed=seed,
        confirmed=row.confirmed_at is not None,
        void=row.void or row.ended_at is not None,
        code_expired=is_over(row, code_life),
        link_expired=is_over(row, code.LINK_LIFETIME),
        retry_after=max(1, round((_left(row, code_life)).total_seconds())),
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


def is_over(row: models.Confirmation, lifetime: timedelta) -> bool:
    """Whether `lifetime` has passed since sending was first attempted, by Postgres' clock.

    The row must have been read with `annotate(now=Now())`.
    """
    return _left(row, lifetime) <= timedelta(0)


def _left(row: models.Confirmation, lifetime: timedelta) -> timedelta:
    now: datetime = row.now  # type: ignore[attr-defined]  # an annotation of the query
    return (row.first_sent_at or now) + lifetime - now
