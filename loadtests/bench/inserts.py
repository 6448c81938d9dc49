"""A program: a bare psycopg loop that inserts the rows of sign-ups, one transaction for each.

The rows are put together beforehand, and inserted by the product's own statement: nothing is left
but psycopg and Postgres. Goes in: DATABASE_URL; how many seconds. Prints one line of JSON.
"""

import json
import os
import secrets
import sys
import time
from typing import Any

import django
import psycopg

from domain.keys import KeyRing
from loadtests.bench.people import somebody

_MOST = 2_000  # sign-ups a second


def _rows(keys: KeyRing, number: int) -> dict[str, Any]:
    """What stands for one sign-up, by the names in the statement."""
    person, _ = somebody(keys, number)
    addresses = [f"{secrets.token_hex(4)}-{person.email}", person.phone]
    return {
        "id": person.id,
        "name": person.name,
        "surname": person.surname,
        "email": addresses[0],
        "email_key": addresses[0],
        "phone": person.phone,
        "hobbies": list(person.hobbies),
        "version": person.version,
        "digests": [session.digest for session in person.sessions],
        "expiries": [session.expires_at for session in person.sessions],
        "channels": ["email", "phone"],
        "addresses": addresses,
        "keys": addresses,
        "salts": [secrets.token_bytes(16) for _ in addresses],
        "key_id": keys.current.id,
        "lease": 20,
    }


def main() -> None:
    """Insert for so many seconds."""
    django.setup()
    # Django's models, beside which the statement stands, can be imported only now.
    from domain.stores.units.sign_ups import _SIGN_UP

    seconds = float(sys.argv[1])
    keys = KeyRing([secrets.token_hex(32)])
    rows = iter([_rows(keys, number) for number in range(int(seconds * _MOST))])
    count = 0
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        begin = time.monotonic()
        while (now := time.monotonic()) < begin + seconds:
            connection.execute(_SIGN_UP, next(rows)).fetchall()
            count += 1
    print(json.dumps({"requests": count, "seconds": now - begin, "failed": 0}))


if __name__ == "__main__":
    main()
