"""Queries for the current state of people."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection
from django.db.models import Q

from domain.model.address import Address, Channel
from domain.model.person import ActiveSession, Person, Tombstone
from domain.model.session_token import MAX_SESSIONS
from domain.postgres import models
from domain.postgres.sql import fetch_all, fetch_one

_MAX_CLAIMS = 100  # that are found of an address
NIL_UUID = UUID(int=0)  # before every person's id (RFC 9562 section 5.9); no id equals it

_PEOPLE_AND_TOMBSTONES = """(
    SELECT id, version, NULL::timestamptz AS deleted_at, name, surname, email, phone, hobbies,
        email_verified_at IS NOT NULL AS email_verified,
        phone_verified_at IS NOT NULL AS phone_verified
    FROM rollcall_person
    UNION ALL
    SELECT id, version, deleted_at, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM rollcall_tombstone
) AS people"""
# One statement, and so one snapshot: a version never comes with the sessions of another one. The
# ids are passed to the sessions' index as a list, because ranges cost twice as much.
_SELECT = """
    WITH matched AS MATERIALIZED (SELECT * FROM {people} WHERE {condition})
    SELECT matched.*, digests, expiries, previous_digests, previous_expiries
    FROM matched LEFT JOIN (
        SELECT person_id,
            (array_agg(digest ORDER BY id DESC))[1:{sessions}] AS digests,
            (array_agg(expires_at ORDER BY id DESC))[1:{sessions}] AS expiries,
            (array_agg(previous_digest ORDER BY id DESC)
                FILTER (WHERE previous_expires_at > now()))[1:{sessions}] AS previous_digests,
            (array_agg(previous_expires_at ORDER BY id DESC)
                FILTER (WHERE previous_expires_at > now()))[1:{sessions}] AS previous_expiries
        FROM rollcall_session
        WHERE person_id = ANY(ARRAY(SELECT id FROM matched)) AND expires_at > now()
        GROUP BY person_id
    ) AS active ON active.person_id = matched.id
    ORDER BY matched.id
"""
_SELECT_PAGE, _SELECT_BY_IDS = (
    _SELECT.format(people=_PEOPLE_AND_TOMBSTONES, condition=condition, sessions=MAX_SESSIONS)
    for condition in (
        "id > %(after)s AND id <= %(last)s ORDER BY id LIMIT %(limit)s",
        "id = ANY(%(ids)s)",
    )
)
_SELECT_VERSIONS = f"SELECT id, version FROM {_PEOPLE_AND_TOMBSTONES} WHERE id = ANY(%s)"  # noqa: S608  # all of it is ours
_SUM_VERSIONS = f"SELECT sum(version) FROM {_PEOPLE_AND_TOMBSTONES} WHERE id > %s AND id <= %s"  # noqa: S608  # all of it is ours


def get_person(person_id: UUID) -> Person | Tombstone | None:
    """Returns the person's current state, None if the id is unknown."""
    return next(iter(get_people([person_id])), None)


def get_people(ids: Sequence[UUID]) -> list[Person | Tombstone]:
    """Returns the current state of these people and tombstones, in the order of ids."""
    return _fetch(_SELECT_BY_IDS, {"ids": list(ids)})


def list_people_after(after: UUID, last: UUID, limit: int) -> list[Person | Tombstone]:
    """Returns the state of up to `limit` people and tombstones with the next ids, up to `last`."""
    return _fetch(_SELECT_PAGE, {"after": after, "last": last, "limit": limit})


def get_versions(ids: Iterable[UUID]) -> dict[UUID, int]:
    """Returns the current (or last) versions of these people and tombstones."""
    return dict(fetch_all(_SELECT_VERSIONS, [list(ids)]))


def sum_versions(after: UUID, last: UUID) -> int:
    """Sums the versions of people and tombstones with an id above `after` up to `last`.

    Every sign-up, change and deletion raises it.
    """
    (total,) = fetch_one(_SUM_VERSIONS, [after, last])
    return int(total or 0)


def find_by_address(address: Address) -> list[UUID]:
    """Finds who has verified that address, and who claims it: a hundred of them at most.

    Both queries have an index; the addresses in profiles have none.
    """
    owners = models.Person.objects.filter(verified_owner_filter(address))
    claims = models.Confirmation.objects.filter(
        channel=address.channel,
        address_canonical=address.canonical,
        confirmed_at=None,
        superseded_at=None,
    )
    return [
        *owners.values_list("id", flat=True),
        *claims.values_list("person_id", flat=True)[:_MAX_CLAIMS],
    ]


def verified_owner_filter(address: Address) -> Q:
    """Returns the filter for the person who has verified that address: one at most."""
    if address.channel is Channel.EMAIL:
        return Q(email_canonical=address.canonical, email_verified_at__isnull=False)
    return Q(phone=address.canonical, phone_verified_at__isnull=False)


def reload_person(person_id: UUID) -> Person:
    """Returns the state of an existing person, as the caller's transaction sees it now."""
    state = get_person(person_id)
    if not isinstance(state, Person):
        raise models.Person.DoesNotExist
    return state


def _fetch(sql: str, params: dict[str, Any]) -> list[Person | Tombstone]:
    """Runs a `_SELECT`. Postgres' binary format takes a third of the time of its text format."""
    with connection.wrap_database_errors:
        connection.ensure_connection()
        with psycopg.Cursor(connection.connection) as cursor:
            rows = cursor.execute(sql, params, binary=True).fetchall()
    return [_from_row(*row) for row in rows]


def _from_row(
    person_id: UUID, version: int, deleted_at: datetime | None, *columns: Any
) -> Person | Tombstone:
    if deleted_at is not None:
        return Tombstone(person_id, version, deleted_at)
    *texts, hobbies, email_verified, phone_verified, digests, expiries = columns[:-2]
    sessions = tuple(map(ActiveSession, digests or (), expiries or ()))
    if columns[-1]:
        sessions += tuple(map(ActiveSession, *columns[-2:]))  # the tokens that were refreshed
    fields: list[Any] = [*texts, tuple(hobbies), email_verified, phone_verified, sessions]
    return Person(person_id, version, *fields)
