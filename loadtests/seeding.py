"""People who have signed up before a load: in bulk in Postgres, or one by one through HTTP."""

import random
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import httpx
import psycopg

from domain.model import session_token
from domain.model.keyring import Keyring
from domain.model.person import ActiveSession, Person
from loadtests import people
from loadtests.people import HOBBIES, sign_up_payload
from local.processes import StackError

READERS = 10_000  # at most so many people have a token
_SIGN_UP_TIMEOUT = 300.0  # seconds for all
# All people but the readers; Postgres generates them, without tokens.
_INSERT = """
    WITH person AS (
        INSERT INTO rollcall_person
            (id, name, surname, email, email_canonical, phone, hobbies, version)
        SELECT gen_random_uuid(), 'Ada', 'Lovelace the ' || n || 'th', address, address,
            '+346' || lpad(n::text, 8, '0'), (ARRAY['engines', 'poetry', 'whist'])[1:mod(n, 4)], 1
        FROM generate_series(%s::integer, %s::integer) AS n,
            format('ada-%%s@example.com', n) AS address
        RETURNING id
    )
    INSERT INTO rollcall_session (person_id, digest, expires_at)
    SELECT id, sha256(uuid_send(id)), now() + interval '30 days' FROM person
"""
_PERSON = ("id", "name", "surname", "email", "email_canonical", "phone", "hobbies", "version")
_SESSION = ("person_id", "digest", "expires_at")


def make_person(keys: Keyring, number: int) -> tuple[Person, str]:
    """Returns a person with one session, and its token. The profile has some 170 bytes."""
    person_id = uuid.uuid4()
    token, digest = session_token.issue_token(keys, person_id, 1)
    return Person(
        id=person_id,
        version=1,
        name="Ada",
        surname=f"Lovelace the {number}th",
        email=f"ada-{number}@example.com",
        phone=f"+346{number:08}",
        hobbies=tuple(random.choices(HOBBIES, k=number % 4)),
        email_verified=True,
        phone_verified=bool(number % 2),
        sessions=(ActiveSession(digest, datetime.now(UTC) + timedelta(days=30)),),
    ), token


def insert(database_url: str, secret: str, count: int) -> list[people.Person]:
    """Inserts people with a session each; returns those who are read.

    Their profiles are not in Redis yet: see `manage.py profiles rebuild`.
    """
    keys = Keyring([secret])
    made = [make_person(keys, number) for number in range(min(count, READERS))]
    persons = [person for person, _ in made]
    with psycopg.connect(database_url, autocommit=True) as connection:
        _copy(connection, "rollcall_person", _PERSON, persons, _person_row)
        _copy(connection, "rollcall_session", _SESSION, persons, _session_row)
        connection.execute(_INSERT, [len(persons) + 1, count])
        connection.execute("VACUUM ANALYZE rollcall_person, rollcall_session")
    return [people.Person(token, person.email) for person, token in made]


def sign_up(url: str, count: int) -> list[people.Person]:
    """Signs people up, one after the other, as fast as the service's rate limits allow.

    Raises `StackError` if they do not within five minutes, or the service cannot be used.
    """
    signed_up: list[people.Person] = []
    deadline = time.monotonic() + _SIGN_UP_TIMEOUT
    with httpx.Client(base_url=url, timeout=10) as service:
        while len(signed_up) < count:
            payload = sign_up_payload()
            response = service.post("/api/v1/signup/", json=payload)
            if response.status_code == httpx.codes.CREATED:
                token = response.json()["session"]["token"]
                signed_up.append(people.Person(token, payload["email"]))
                continue
            if response.status_code not in (429, 503):
                raise StackError(f"{url} does not sign people up: status {response.status_code}")
            delay = float(response.headers.get("Retry-After", 1))
            if time.monotonic() + delay > deadline:
                raise StackError(
                    f"{url} signed up only {len(signed_up)} of {count} people in five minutes:"
                    " name a file of tokens with PEOPLE=, or raise RATE_LIMIT_SIGN_UP there"
                )
            time.sleep(delay)
    return signed_up


def _copy(
    connection: psycopg.Connection,
    table: str,
    columns: Sequence[str],
    persons: list[Person],
    row: Callable[[Person], tuple[object, ...]],
) -> None:
    statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
    with connection.cursor().copy(statement.encode()) as copy:
        for person in persons:
            copy.write_row(row(person))


def _person_row(person: Person) -> tuple[object, ...]:
    email, phone = person.email, person.phone
    hobbies = list(person.hobbies)
    return person.id, person.name, person.surname, email, email, phone, hobbies, person.version


def _session_row(person: Person) -> tuple[object, ...]:
    (session,) = person.sessions
    return person.id, session.digest, session.expires_at
