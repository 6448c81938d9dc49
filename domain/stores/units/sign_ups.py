"""Signing up, once however often it is asked for."""

from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now

from domain import limits
from domain.address import Address
from domain.errors import IdempotencyClosed, IdempotencyInProgress, IdempotencyMismatch
from domain.person import Person
from domain.stores import models, prepared
from domain.stores.people import state_of

# All rows of a sign-up in one statement, and so in one round trip: by way of the ORM they were
# five, and cost 6 ms of CPU instead of 1. Columns that are not named have defaults in the table.
SIGN_UP = """
    WITH person AS (
        INSERT INTO stores_person
            (id, name, surname, email, email_key, phone, hobbies, version)
        VALUES (%(id)s, %(name)s, %(surname)s, %(email)s, %(email_key)s, %(phone)s,
            string_to_array(%(hobbies)s, chr(10)), %(version)s)
    ), session AS (
        INSERT INTO stores_session (person_id, digest, expires_at)
        VALUES (%(id)s, %(digest)s, %(expires_at)s)
    ), confirmation AS (
        INSERT INTO stores_confirmation
            (person_id, channel, address, address_key, salt, key_id, tries, void)
        VALUES
            (%(id)s, 'email', %(email)s, %(email_key)s, %(email_salt)s, %(key_id)s, 0, false),
            (%(id)s, 'phone', %(phone)s, %(phone_key)s, %(phone_salt)s, %(key_id)s, 0, false)
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
        (email, phone), (email_salt, phone_salt), (session,) = addresses, salts, person.sessions
        values = {
            "id": person.id,
            "name": person.name,
            "surname": person.surname,
            "email": email.value,
            "email_key": email.key,
            "email_salt": email_salt,
            "phone": phone.value,
            "phone_key": phone.key,
            "phone_salt": phone_salt,
            "hobbies": "\n".join(person.hobbies),  # of which none has a newline
            "version": person.version,
            "digest": session.digest,
            "expires_at": session.expires_at,
            "key_id": key,
            "lease": settings.OUTBOX_LEASE.total_seconds(),
        }
        return [row[0] for row in prepared.rows(SIGN_UP, values)]

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
