"""All requests that name an address, and the addresses that they must not distinguish.

One that a person has verified, one that a person claims, and one that no person has entered.
"""

import random
from collections.abc import Iterator
from itertools import count
from typing import Any, Protocol

import psycopg

from local.stack import Stack
from tests.support.timing import Response

CHANNELS = ["email", "phone"]
ARMS = ["verified", "claimed", "unknown"]
# People, with the network of each owner. So many cannot sign up by requests.
_INSERT_PEOPLE = r"""
WITH person AS (
    INSERT INTO rollcall_person (id, name, surname, email, email_canonical, phone, hobbies, version,
        email_verified_at, phone_verified_at)
    SELECT gen_random_uuid(), 'Ada', 'Lovelace', email, email, phone, '{}', 1, time, time
    FROM unnest(%s::text[], %s::text[]) AS each (email, phone),
        LATERAL (SELECT CASE WHEN %s THEN now() END AS time)
    RETURNING id, email, phone, email_verified_at
), network AS (
    INSERT INTO rollcall_knownnetwork (person_id, network_hash)
    SELECT id, decode(md5(email), 'hex') FROM person WHERE email_verified_at IS NOT NULL
)
INSERT INTO rollcall_confirmation (person_id, channel, address, address_canonical, salt, key_id,
    attempts, first_attempted_at, code_length, confirmed_at)
SELECT id, channel, address, address, '\x00', '\x00', 0, now(), 6, email_verified_at
FROM person, LATERAL (VALUES ('email', email), ('phone', phone)) AS each (channel, address)
"""
_numbers = count()


class Poster(Protocol):
    """Sends requests."""

    def post(self, path: str, body: Any = None, **headers: str) -> Response: ...


def make_address() -> dict[str, str]:
    """Returns a new address on each channel, all of the same length."""
    number = next(_numbers)
    return {"email": f"person{number:06}@example.org", "phone": f"+34677{number:06}"}


def make_rounds(stack: Stack, rounds: int) -> list[dict[str, dict[str, str]]]:
    """Returns new addresses for each arm of each round."""
    addresses = [
        {arm: make_address() for arm in random.sample(ARMS, len(ARMS))} for _ in range(rounds)
    ]
    with psycopg.connect(stack.environment()["DATABASE_URL"]) as database:
        for arm in ("verified", "claimed"):
            lists = [[each[arm][channel] for each in addresses] for channel in CHANNELS]
            database.execute(_INSERT_PEOPLE, [*lists, arm == "verified"])
    return addresses


def attack(attacker: Poster, address: dict[str, str]) -> Iterator[tuple[str, Response]]:
    """Yields the responses to all requests that name an address."""
    ((channel, _),) = address.items()
    requested = attacker.post("sessions/", address)
    yield "sign-in request", requested
    guess = {"challenge": requested.body["challenge"], "code": "000000"}
    yield "sign-in confirm", attacker.post("sessions/confirm/", guess)
    body = {"name": "Eve", "surname": "Moriarty"} | make_address() | address
    signed_up = attacker.post("signup/", body)
    yield "sign-up", signed_up
    bearer = {"Authorization": f"Bearer {signed_up.body['session']['token']}"}
    yield "confirm", attacker.post(f"confirmations/{channel}/", {"code": "000000"}, **bearer)
    yield "resend", attacker.post(f"confirmations/{channel}/resend/", **bearer)
