"""Sign-ups, and their idempotency keys.

The methods are described in `domain.commands.ports.UnitOfWork`.
"""

from collections.abc import Iterable
from datetime import timedelta
from itertools import starmap
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models.functions import Now

from domain.commands.ports import OutboxRef
from domain.model.address import Address, Channel
from domain.model.errors import IdempotencyClosed, IdempotencyInProgress, IdempotencyMismatch
from domain.model.one_time_code import CodeSeed
from domain.model.person import Person, SessionClient
from domain.postgres import events, locks, models
from domain.postgres.person_queries import reload_person
from domain.trace_context import current_traceparent

KEY_LIFETIME = timedelta(hours=24)  # of an idempotency key

# All rows of a sign-up in one statement, and so in one round trip: with the ORM they were five, and
# cost 6 ms of CPU instead of 1. Columns that are not named have defaults in the table.
INSERT_SIGN_UP = """
    WITH person AS (
        INSERT INTO rollcall_person
            (id, name, surname, email, email_canonical, phone, hobbies, locale,
                version)
        VALUES (%(id)s, %(name)s, %(surname)s, %(email)s, %(email_canonical)s, %(phone)s,
            string_to_array(%(hobbies)s, chr(10)), %(locale)s, %(version)s)
    ), session AS (
        INSERT INTO rollcall_session (person_id, digest, expires_at, user_agent, network)
        VALUES (%(id)s, %(digest)s, %(expires_at)s, %(user_agent)s, %(network)s)
    ), confirmation AS (
        INSERT INTO rollcall_confirmation
            (person_id, channel, address, address_canonical, salt, key_id, attempts, network_hash)
        VALUES
            (%(id)s, 'email', %(email)s, %(email_canonical)s, %(email_salt)s, %(key_id)s, 0,
                %(network_hash)s),
            (%(id)s, 'phone', %(phone)s, %(phone_canonical)s, %(phone_salt)s, %(key_id)s, 0,
                %(network_hash)s)
        RETURNING id
    )
    INSERT INTO rollcall_outboxentry
        (kind, person_id, confirmation_id, state, due_at, attempts, reason_code,
            provider_message_id, traceparent)
    SELECT kind, %(id)s, confirmation_id, 'queued', now() + make_interval(secs => %(lease)s),
        0, '', '', %(traceparent)s
    FROM (
        SELECT 'project_profile' AS kind, NULL::bigint AS confirmation_id
        UNION ALL SELECT 'confirmation', id FROM confirmation
    ) AS entry
    RETURNING id, kind
"""
_INSERT_EVENT = """, event AS (
        INSERT INTO rollcall_event (kind, person_id, version)
        VALUES ('person.created', %(id)s, %(version)s)
    )
    INSERT INTO rollcall_outboxentry"""
INSERT_SIGN_UP_AND_EVENT = INSERT_SIGN_UP.replace(
    "\n    INSERT INTO rollcall_outboxentry", _INSERT_EVENT
)


class SignUpRepository:
    """The part of a unit of work that signs people up."""

    def sign_up(
        self,
        person: Person,
        seeds: dict[Channel, CodeSeed],
        network_hash: bytes,
        client: SessionClient,
        locale: str | None,
    ) -> list[OutboxRef]:
        (session,) = person.sessions
        # Not `dataclasses.asdict`, which copies each value: 180 Python calls.
        params = {
            "id": person.id,
            "name": person.name,
            "surname": person.surname,
            "email": person.email,
            "phone": person.phone,
            "version": person.version,
            "email_canonical": Address(Channel.EMAIL, person.email).canonical,
            "email_salt": seeds[Channel.EMAIL].salt,
            "phone_canonical": Address(Channel.PHONE, person.phone).canonical,
            "phone_salt": seeds[Channel.PHONE].salt,
            "hobbies": "\n".join(person.hobbies),  # none of which has a newline
            "digest": session.digest,
            "expires_at": session.expires_at,
            "user_agent": client.user_agent,
            "network": client.network,
            "key_id": seeds[Channel.EMAIL].key_id,
            "network_hash": network_hash,
            "locale": locale,
            "lease": settings.OUTBOX_LEASE.total_seconds(),
            "traceparent": current_traceparent.get(),
        }
        statement = INSERT_SIGN_UP_AND_EVENT if events.is_enabled() else INSERT_SIGN_UP
        return list(starmap(OutboxRef, _execute_prepared(statement, params)))

    def find_sign_up_by_idempotency_key(
        self, idempotency_key: str, key_hashes: list[bytes], request_fingerprints: list[bytes]
    ) -> Person | None:
        if not locks.try_lock_idempotency_key(idempotency_key):
            raise IdempotencyInProgress
        rows = models.IdempotencyKey.objects.filter(key_hash__in=key_hashes)
        rows.filter(created_at__lte=Now() - KEY_LIFETIME).delete()
        row = rows.first()
        if row is None:
            return None
        if bytes(row.request_fingerprint) not in request_fingerprints:
            raise IdempotencyMismatch
        replayable = models.Person.objects.select_for_update().filter(
            id=row.person_id,
            email_verified_at=None,
            phone_verified_at=None,
            idempotency_keys__created_at__gt=Now() - settings.IDEMPOTENCY_REPLAY_WINDOW,
        )
        if not replayable.exists():
            raise IdempotencyClosed
        return reload_person(row.person_id)

    def store_idempotency_key(
        self, key_hash: bytes, request_fingerprint: bytes, person_id: UUID
    ) -> None:
        models.IdempotencyKey.objects.create(
            key_hash=key_hash, request_fingerprint=request_fingerprint, person_id=person_id
        )


def _execute_prepared(statement: str, params: dict[str, Any]) -> Iterable[Any]:
    """Returns the rows of a prepared statement, which Postgres parses and plans once for each
    connection. Django's own cursors interpolate parameters: each statement is a new one.
    """
    connection = connections[DEFAULT_DB_ALIAS]  # `django.db.connection` is looked up at each use
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    with connection.wrap_database_errors:
        return psycopg.Cursor(connection.connection).execute(statement, params, prepare=True)
