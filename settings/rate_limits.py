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
    # Of all clients without a session together. It bounds what an attacker with any number of
    # networks can cost: 170 sign-ups a second. The load that Rollcall is made for, 3,500 requests
    # a minute of which a tenth are sign-ups, has ten times as much room.
    "anonymous": "10000/minute",
}
_MAX_AMOUNT, _MAX_WINDOW = 1_000_000_000, 366 * 24 * 3600  # the window in seconds
DEVELOPMENT_LIMITS = dict.fromkeys(PRODUCTION_LIMITS, "1000000/minute")
DEVELOPMENT_LIMITS["anonymous"] = "100000000/minute"
# An IPv6 /48 may be one customer or many: so many times what one network may send.
SITE_FACTOR = 10


def parse_rate_limits(env: Env, defaults: Mapping[str, str]) -> dict[str, RateLimitItem]:
    """Returns the limits by name: the environment's (`RATE_LIMIT_SIGN_UP=10/minute`), or the
    defaults; and for each `NAME-site`, that of an IPv6 /48.

    Raises `ImproperlyConfigured`, which names the variable.
    """
    limits = {name: _parse_limit(env, name, default) for name, default in defaults.items()}
    factor = env.int("RATE_LIMIT_SITE_FACTOR", SITE_FACTOR)
    if factor < 1:
        raise ImproperlyConfigured("RATE_LIMIT_SITE_FACTOR must be at least 1.")
    sites = {
        f"{name}-site": type(limit)(limit.amount * factor, limit.multiples)
        for name, limit in limits.items()
    }
    return limits | sites


def _parse_limit(env: Env, name: str, default: str) -> RateLimitItem:
    variable = f"RATE_LIMIT_{name.upper().replace('-', '_')}"
    try:
        text = env.str(variable, default)
        (limit,) = parse_many(text)
        # `limits` takes a window of 0 for 1.
        is_invalid_window = re.search(r"(/|per)\s*0", text) or limit.get_expiry() > _MAX_WINDOW
        if is_invalid_window or not 0 < limit.amount <= _MAX_AMOUNT:
            raise ValueError
    except ValueError:
        raise ImproperlyConfigured(
            f"{variable} must be one limit of at least 1, such as 10/minute or 100/2hours."
        ) from None
    return limit
