"""Signing up, once however often it is asked for."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now

from domain import limits
from domain.address import Address, Channel
from domain.errors import IdempotencyClosed, IdempotencyInProgress, IdempotencyMismatch
from domain.person import Person
from domain.stores import models
from domain.stores.people import state_of
from domain.stores.prepared import prepared

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


class SignUps:
    """The part of a unit of work that signs people up."""

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
        with prepared(_SIGN_UP, values) as cursor:
            return [row[0] for row in cursor.fetchall()]

    def signed_up_with(self, key_hashes: list[bytes], body_hashes: list[bytes]) -> Person | None:
        if not _lock_until_the_end(key_hashes[-1]):
            raise IdempotencyInProgress
        rows = models.IdempotencyKey.objects.filter(key_hash__in=key_hashes)
        rows.filter(created_at__lte=Now() - limits.DAY).delete()
        row = rows.first()
        if row is None:
            return None
        if bytes(row.body_hash) not in body_hashes:
            raise IdempotencyMismatch
        person = (
            models.Person.objects.select_for_update()
            .filter(id=row.person_id, email_verified_at=None, phone_verified_at=None)
            .filter(Q(idempotency_keys__created_at__gt=Now() - settings.IDEMPOTENCY_OPEN))
            .first()
        )
        if person is None:
            raise IdempotencyClosed
        return state_of(person)

    def remember(self, key_hash: bytes, body_hash: bytes, person_id: UUID) -> None:
        models.IdempotencyKey.objects.create(
            key_hash=key_hash, body_hash=body_hash, person_id=person_id
        )


def _lock_until_the_end(key_hash: bytes) -> bool:
    """Whether nobody else has this lock; it is held until the transaction ends."""
    number = int.from_bytes(key_hash[:8], signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
        return bool(cursor.fetchone()[0])
