"""Rate limits for clients, by name; see `api.writes.rate_limiting`."""

import re
from collections.abc import Mapping

from django.core.exceptions import ImproperlyConfigured
from environs import Env
from limits import RateLimitItem, parse_many

# A whole school, office or mobile network may share one address.
PRODUCTION_LIMITS = {
    "sign-up": "10/minute",
    "sign-in": "10/minute",
    "confirmation": "30/minute",
    "other": "60/minute",
    "docs": "30/minute",
    "webhook": "6000/minute",  # all receipts come from a provider's few machines
    "admin-login": "5/minute",
}
_MAX_AMOUNT, _MAX_WINDOW = 1_000_000_000, 366 * 24 * 3600  # the window in seconds
DEVELOPMENT_LIMITS = dict.fromkeys(PRODUCTION_LIMITS, "1000000/minute")


def parse_rate_limits(env: Env, defaults: Mapping[str, str]) -> dict[str, RateLimitItem]:
    """Returns the limits by name: the environment's (`RATE_LIMIT_SIGN_UP=10/minute`), or the
    defaults.

    Raises `ImproperlyConfigured`, which names the variable.
    """
    return {name: _parse_limit(env, name, default) for name, default in defaults.items()}


def _parse_limit(env: Env, name: str, default: str) -> RateLimitItem:
    variable = f"RATE_LIMIT_{name.upper().replace('-', '_')}"
    try:
        text = env.str(variable, default)
        (limit,) = parse_many(text)
        # `limits` takes a window of 0 for 1.
        if (
            re.search(r"(/|per)\s*0", text)
            or not 0 < limit.amount <= _MAX_AMOUNT
            or limit.get_expiry() > _MAX_WINDOW
        ):
            raise ValueError
    except ValueError:
        raise ImproperlyConfigured(
            f"{variable} must be one limit of at least 1, such as 10/minute or 100/2hours."
        ) from None
    return limit
