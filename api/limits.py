"""How often one client may ask: request rates by network and kind of route, counted in Redis.

Reads of profiles are not limited: they never get to Django, and stay at one round trip.
"""

import time
from collections.abc import Callable
from functools import cache, cached_property
from math import floor
from typing import NamedTuple

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from limits import RateLimitItem
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis import RedisError
from redis.commands.core import Script

from api import counts
from api.client import network_of
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


class OneTrip(RedisStorage):
    """Counters in Redis that are raised and looked at in one round trip, by the library's own
    scripts for the two. They are kept for as long as the library keeps them, by its names.
    """

    _BOTH = b"""
        local function hit(KEYS, ARGV) %b end
        local function look(KEYS, ARGV) %b end
        return {hit(KEYS, ARGV), unpack(look(KEYS, {ARGV[2]}))}
    """ % (RedisStorage.SCRIPT_ACQUIRE_SLIDING_WINDOW, RedisStorage.SCRIPT_SLIDING_WINDOW)

    @cached_property
    def _both(self) -> Script:
        return self.get_connection().register_script(self._BOTH)

    def hit(self, limit: RateLimitItem, *identifiers: str) -> tuple[bool, int]:
        """Count once more, if the limit lets it; whether it did, and how much of it is left.

        Raises `RedisError`.
        """
        key, seconds = limit.key_for(*identifiers), limit.get_expiry()
        windows = self._previous_window_key(key), self._current_window_key(key)
        keys = [self.prefixed_key(window) for window in windows]
        passes, previous, left_ms, current, _ = self._both(keys, [limit.amount, seconds, 1])
        weighted = int(previous or 0) * max(0, left_ms) / 1000 / seconds + int(current or 0)
        return bool(passes), max(0, limit.amount - floor(weighted))


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
            counts.in_threads.add("rate_limited", name)
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
    limit = settings.RATE_LIMITS[name]
    try:
        passes, remaining = _storage().hit(limit, name, network)
        if not passes:
            reset, _ = _limiter().get_window_stats(limit, name, network)
    except RedisError as error:
        counts.in_threads.add("rate_limits_unavailable")
        log.warning("rate_limits_unavailable", error=type(error).__name__)
        return None
    if passes:
        # The window slides: nothing is given back at once, so this is what may be used in all of
        # its length.
        return Verdict(True, remaining, limit.get_expiry())
    return Verdict(False, 0, max(0, int(reset - time.time())) + 1)


@cache
def _storage() -> OneTrip:
    """One for the process. Each request is counted, or refused and not counted, in one Lua script
    on Redis' own clock, which keeps two numbers for each network and limit.
    """
    pool = redis().connection_pool
    return OneTrip(settings.REDIS_URL, connection_pool=pool, key_prefix="limit")


@cache
def _limiter() -> SlidingWindowCounterRateLimiter:
    return SlidingWindowCounterRateLimiter(_storage())
