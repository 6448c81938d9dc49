"""A program: a psycopg loop that inserts the rows of sign-ups, one transaction each.

The rows are prepared in advance and inserted by the product's statement: only psycopg and Postgres
are measured. Arguments: the seconds; DATABASE_URL is in the environment. Prints one line of JSON.
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
from loadtests.seeding import make_person

_BATCH = 1_000  # rows prepared at a time, which is not measured


def _make_row(keys: Keyring, number: int) -> dict[str, Any]:
    """Returns the parameters of the statement for one sign-up."""
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
        "user_agent": "Firefox on Linux",
        "network": "203.0.113.0/24",
        "key_id": keys.signing_key.id,
        "network_hash": secrets.token_bytes(16),
        "locale": "en",
        "lease": 20,
        "traceparent": None,
    }


def main() -> None:
    """Inserts for the given seconds."""
    django.setup()
    # Importable only after django.setup(): the module imports models.
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
