"""Generated people, each with a unique address and number."""

import itertools
import random
import secrets
from typing import Any

_RUN = secrets.token_hex(4)
_numbers = itertools.count(1)
_first_phone = random.randrange(100_000_000)
_HOBBIES = ["engines", "poetry", "whist", "horses", "flying", "the analytical engine"]


def sign_up_payload() -> dict[str, Any]:
    """Returns the body of a sign-up, in normalized form: the profile has the same values."""
    number = next(_numbers)
    return {
        "name": "Ada",
        "surname": f"Lovelace the {number}th",
        "email": f"ada-{_RUN}-{number}@example.com",
        "phone": f"+346{(_first_phone + number) % 100_000_000:08}",
        "hobbies": random.sample(_HOBBIES, k=random.randint(0, 3)),
    }


def expected_profile(body: dict[str, Any]) -> dict[str, Any]:
    """Returns the profile after a sign-up with `body`, with nothing confirmed."""
    return {**body, "email_verified": False, "phone_verified": False}
