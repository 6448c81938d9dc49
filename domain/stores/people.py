"""People as Postgres has them now."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection
from django.db.models import Q

from domain.address import Address, Channel
from domain.person import Gone, LiveSession, Person
from domain.session import SESSIONS_MAX
from domain.stores import models

FIRST = UUID(int=0)  # stands before every person's id; an id is never that

_EVERYBODY = """(
    SELECT id, version, name, surname, email, phone, hobbies,
        email_verified_at IS NOT NULL AS email_verified,
        phone_verified_at IS NOT NULL AS phone_verified, NULL::timestamptz AS gone_at
    FROM stores_person
    UNION ALL
    SELECT id, version, NULL::varchar, NULL::varchar, NULL::varchar, NULL::varchar,
        NULL::varchar[], NULL, NULL, gone_at
    FROM stores_gone
) AS everybody"""
# One statement, and so one snapshot: a version never comes with the sessions of another one. The
# ids are handed to the sessions' index as a list, because by ranges they cost twice as much.
_STATES = """
    WITH found AS MATERIALIZED (SELECT * FROM {everybody} WHERE {which})
    SELECT found.*, digests, ends FROM found LEFT JOIN (
        SELECT person_id,
            (array_agg(digest ORDER BY id DESC))[1:{sessions}] AS digests,
            (array_agg(expires_at ORDER BY id DESC))[1:{sessions}] AS ends
        FROM stores_session
        WHERE person_id = ANY(ARRAY(SELECT id FROM found)) AND expires_at > now()
        GROUP BY person_id
    ) AS live ON live.person_id = found.id
    ORDER BY found.id
"""
_PAGE, _LISTED = (
    _STATES.format(everybody=_EVERYBODY, which=which, sessions=SESSIONS_MAX)
    for which in ("id > %(after)s ORDER BY id LIMIT %(limit)s", "id = ANY(%(ids)s)")
)
_VERSIONS_OF = f"SELECT id, version FROM {_EVERYBODY} WHERE id = ANY(%s)"  # noqa: S608  # all of it is ours
_VERSIONS = f"SELECT sum(version) FROM {_EVERYBODY} WHERE id > %s AND id <= %s"  # noqa: S608  # all of it is ours


def load(person_id: UUID) -> Person | Gone | None:
    """The person's current state, None if there never was such a person."""
    return next(iter(load_all([person_id])), None)


def load_all(ids: Sequence[UUID]) -> list[Person | Gone]:
    """The current state of those of these people whom there are or were, in the order of ids."""
    return _states(_LISTED, {"ids": list(ids)})


def page(after: UUID, limit: int) -> list[Person | Gone]:
    """The state of up to `limit` people, those who are gone included, whose ids come next."""
    return _states(_PAGE, {"after": after, "limit": limit})


def versions_of(ids: Iterable[UUID]) -> dict[UUID, int]:
    """The current (or last) version of those of these people whom there are or were."""
    with connection.cursor() as cursor:
        cursor.execute(_VERSIONS_OF, [list(ids)])
        return dict(cursor.fetchall())


def versions_between(after: UUID, last: UUID) -> int:
    """The sum of the versions of all people, gone or not, with an id above `after` up to `last`.

    Whatever happens to one of them raises it: a sign-up, a change, and also their leaving.
    """
    with connection.cursor() as cursor:
        cursor.execute(_VERSIONS, [after, last])
        return int(cursor.fetchone()[0] or 0)


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
    """The state of the person whose row this is, as the caller's transaction sees it now."""
    state = load(row.pk)
    if not isinstance(state, Person):
        raise models.Person.DoesNotExist
    return state


def _states(statement: str, values: dict[str, Any]) -> list[Person | Gone]:
    """What `_STATES` finds. Postgres' binary format takes a third of the time of its text."""
    with connection.wrap_database_errors:
        connection.ensure_connection()
        with psycopg.Cursor(connection.connection) as cursor:
            rows = cursor.execute(statement, values, binary=True).fetchall()
    return [_state(*row) for row in rows]


def _state(
    person_id: UUID,
    version: int,
    name: str,
    surname: str,
    email: str,
    phone: str,
    hobbies: list[str],
    email_verified: bool,
    phone_verified: bool,
    gone_at: Any,
    digests: list[bytes] | None,
    ends: list[Any] | None,
) -> Person | Gone:
    if gone_at is not None:
        return Gone(person_id, version, gone_at)
    sessions = tuple(map(LiveSession, digests or (), ends or ()))
    return Person(
        person_id, version, name, surname, email, phone, tuple(hobbies),
        email_verified, phone_verified, sessions,
    )  # fmt: skip  # as in the statement
