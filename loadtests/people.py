"""Generated people: the bodies of their sign-ups, and the files of those who are read."""

import itertools
import random
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from local.processes import StackError

HOBBIES = ("engines", "poetry", "whist", "horses", "flying", "the analytical engine")
_RUN = secrets.token_hex(4)
_numbers = itertools.count(1)
_first_phone = random.randrange(100_000_000)


class Person(NamedTuple):
    """A person who has signed up; `email` is "" if unknown."""

    token: str
    email: str


def sign_up_payload() -> dict[str, Any]:
    """Returns the body of a sign-up with unique addresses, in normalized form: the profile has the
    same values.
    """
    number = next(_numbers)
    return {
        "name": "Ada",
        "surname": f"Lovelace the {number}th",
        "email": f"ada-{_RUN}-{number}@example.com",
        "phone": f"+346{(_first_phone + number) % 100_000_000:08}",
        "hobbies": random.sample(HOBBIES, k=random.randint(0, 3)),
    }


def write_people(path: Path, people: Iterable[Person]) -> None:
    """Writes a file that only this user can read, with a token and an e-mail address a line."""
    path.touch(mode=0o600)
    path.write_text("".join(f"{person.token} {person.email}\n" for person in people))


def read_people(path: Path) -> list[Person]:
    """Returns the people of a file with a token a line, and perhaps an e-mail address after it.

    Raises `StackError` if it cannot be read, or has no tokens.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StackError(f"PEOPLE: {path} cannot be read: {error}") from error
    people = [Person(*(*line.split(), "")[:2]) for line in lines if line.strip()]
    if not people:
        raise StackError(f"PEOPLE: {path} has no token")
    return people
