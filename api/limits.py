"""How often one client may ask: request rates by network and kind of route, counted in Redis.

Reads of profiles are not limited: they never get to Django, and stay at one round trip.
"""

import time
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis import RedisError

from api.client import network_of
from api.observability.registry import RATE_LIMITED_REQUESTS, RATE_LIMITER_ERRORS
from api.problems import problem
from domain.stores.profiles import redis

log = structlog.get_logger(__name__)

# The first that fits counts; no method means any. What no line names is not limited.
_KINDS: tuple[tuple[tuple[str, ...], str, str | None], ...] = (
    (("GET", "HEAD"), "/api/v1/profile", None),
    (("POST",), "/api/v1/signup", "sign-up"),
    (("POST",), "/api/v1/sessions", "sign-in"),
    (("POST",), "/api/v1/confirmations", "confirmation"),
    (("POST",), "/confirm/", "confirmation"),
    ((), "/api/v1/schema", "docs"),
    ((), "/api/v1/docs", "docs"),
    ((), "/api/v1/", "other"),
    ((), "/webhooks/", "webhook"),
    (("POST",), "/admin/login", "admin-login"),
)


class Verdict(NamedTuple):
    """May this request pass, how many more may at the moment, and for how many seconds is that?"""

    passes: bool
    remaining: int
    seconds: int


class RateLimits:
    """Middleware: 429 for whoever asks too often, and on every limited route how much is left."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        name = limit_of(request.method or "", request.path_info)
        verdict = name and count(name, network_of(request.META["REMOTE_ADDR"]))
        if not name or not verdict:
            return self.get_response(request)
        if verdict.passes:
            response = self.get_response(request)
        else:
            RATE_LIMITED_REQUESTS.labels(name).inc()
            response = problem(request, "rate_limited", {"retry-after": str(verdict.seconds)})
        # draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4.
        limit = settings.RATE_LIMITS[name]
        response["RateLimit-Policy"] = f'"{name}";q={limit.amount};w={limit.get_expiry()}'
        response["RateLimit"] = f'"{name}";r={verdict.remaining};t={verdict.seconds}'
        return response


def limit_of(method: str, path: str) -> str | None:
    """The name of the limit that a request counts for, if there is one."""
    for methods, prefix, name in _KINDS:
        if path.startswith(prefix) and (not methods or method in methods):
            return name
    return None


def count(name: str, network: str) -> Verdict | None:
    """Count a request; None if Redis is away: then it passes, because a service that can sign
    people up must not refuse to, only because it cannot count them.
    """
    limit, limiter = settings.RATE_LIMITS[name], _limiter()
    try:
        passes = limiter.hit(limit, name, network)
        reset, remaining = limiter.get_window_stats(limit, name, network)
    except RedisError as error:
        RATE_LIMITER_ERRORS.inc()
        log.warning("rate_limits_unavailable", error=type(error).__name__)
        return None
    if passes:
        # The window slides: nothing is given back at once, so this is what may be used in all of
        # its length.
        return Verdict(True, remaining, limit.get_expiry())
    return Verdict(False, 0, max(0, int(reset - time.time())) + 1)


@cache
def _limiter() -> SlidingWindowCounterRateLimiter:
    """One for the process. Each request is counted, or refused and not counted, in one Lua script
    on Redis' own clock, which keeps two numbers for each network and limit.
    """
    pool = redis().connection_pool
    storage = RedisStorage(settings.REDIS_URL, connection_pool=pool, key_prefix="limit")
    return SlidingWindowCounterRateLimiter(storage)
