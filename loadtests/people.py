"""People made up for a load, each with an address and a number of their own."""

import itertools
import random
import secrets
from typing import Any

_RUN = secrets.token_hex(4)
_numbers = itertools.count(1)
_first_phone = random.randrange(100_000_000)
_HOBBIES = ["engines", "poetry", "whist", "horses", "flying", "the analytical engine"]


def new_body() -> dict[str, Any]:
    """The body of a sign-up, as its profile will show it: nothing in it needs to be put right."""
    number = next(_numbers)
    return {
        "name": "Ada",
        "surname": f"Lovelace the {number}th",
        "email": f"ada-{_RUN}-{number}@example.com",
        "phone": f"+346{(_first_phone + number) % 100_000_000:08}",
        "hobbies": random.sample(_HOBBIES, k=random.randint(0, 3)),
    }


def profile_of(body: dict[str, Any]) -> dict[str, Any]:
    """The profile of somebody who has signed up with `body`, and has confirmed nothing."""
    return {**body, "email_verified": False, "phone_verified": False}
