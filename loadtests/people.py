"""People made up for a load, each with addresses of their own."""

import itertools
import secrets
from typing import Any

_numbers = itertools.count(secrets.randbelow(900_000) * 1000)


def new_body() -> dict[str, Any]:
    """The body of a sign-up."""
    number = next(_numbers) % 1_000_000_000
    return {
        "name": "Load",
        "surname": "Test",
        "email": f"load{number}@example.com",
        "phone": f"+346{number:09}"[:12],
        "hobbies": ["engines", "poetry", "whist"],
    }
