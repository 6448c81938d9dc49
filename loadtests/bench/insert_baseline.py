"""A program: a bare psycopg loop that inserts the rows of sign-ups, one transaction for each.

The rows are put together beforehand, and inserted by the product's own statement: nothing is left
but psycopg and Postgres. Goes in: DATABASE_URL; how many seconds. Prints one line of JSON.
"""

import itertools
import json
import os
import secrets
import sys
import time
from typing import Any

import django
import psycopg

from domain.model.keyring import Keyring
from loadtests.bench.people import make_person

_BATCH = 1_000  # rows put together at a time, while the clock stands still


def _make_row(keys: Keyring, number: int) -> dict[str, Any]:
    """What stands for one sign-up, by the names in the statement."""
    person, _ = make_person(keys, number)
    (session,) = person.sessions
    email = f"{secrets.token_hex(4)}-{person.email}"
    return {
        "id": person.id,
        "name": person.name,
        "surname": person.surname,
        "email": email,
        "email_canonical": email,
        "email_salt": secrets.token_bytes(16),
        "phone": person.phone,
        "phone_canonical": person.phone,
        "phone_salt": secrets.token_bytes(16),
        "hobbies": "\n".join(person.hobbies),
        "version": person.version,
        "digest": session.digest,
        "expires_at": session.expires_at,
        "key_id": keys.signing_key.id,
        "lease": 20,
    }


def main() -> None:
    """Insert for so many seconds."""
    django.setup()
    # Django's models, beside which the statement stands, can be imported only now.
    from domain.postgres.repositories.sign_ups import INSERT_SIGN_UP

    seconds = float(sys.argv[1])
    keys = Keyring([secrets.token_hex(32)])
    numbers = itertools.count()
    count, elapsed = 0, 0.0
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        while elapsed < seconds:
            batch = [_make_row(keys, next(numbers)) for _ in range(_BATCH)]
            started_at = time.monotonic()
            for row in batch:
                connection.execute(INSERT_SIGN_UP, row).fetchall()
            elapsed += time.monotonic() - started_at
            count += _BATCH
    print(json.dumps({"requests": count, "seconds": elapsed, "failed": 0}))


if __name__ == "__main__":
    main()
