"""How often one client may ask: request rates by network and kind of route, counted in Redis.

Reads of profiles are not limited: they never get to Django, and stay at one round trip.
"""

from collections.abc import Callable
from typing import NamedTuple

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from redis import RedisError

from api.client_ip import client_network
from api.observability.registry import RATE_LIMITED_REQUESTS, RATE_LIMITER_ERRORS
from api.problems import problem
from domain.stores.profiles import get_script

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

# A sliding window counter, on Redis' own clock, in one round trip: the requests of this window and,
# less and less as it passes, those of the window before. A window begins with a request. The
# strategy of that name in `limits` counts alike, but reads what is left in a second round trip.
# Takes the limit and the window's length; returns whether the request passes, how many more may,
# and for how long it does not. Times are in milliseconds.
_COUNT = """
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local kept = redis.call('HMGET', KEYS[1], 'begin', 'count', 'before')
local begin = tonumber(kept[1]) or now
local count, before = tonumber(kept[2]) or 0, tonumber(kept[3]) or 0
if now < begin or now >= begin + 2 * window then
  begin, count, before = now, 0, 0
elseif now >= begin + window then
  begin, count, before = begin + window, 0, count
end
local rest = begin + window - now
local used = math.floor(before * rest / window) + count
if used < limit then
  redis.call('HSET', KEYS[1], 'begin', begin, 'count', count + 1, 'before', before)
  redis.call('PEXPIRE', KEYS[1], window + rest)
  return {1, limit - used - 1, 0}
end
if before > 0 then
  local until_one_less = rest % (window / before)
  if count > 0 then rest = math.min(rest, until_one_less) else rest = until_one_less end
end
return {0, 0, rest}
"""


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
        verdict = name and count(name, client_network(request.META["REMOTE_ADDR"]))
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
    limit = settings.RATE_LIMITS[name]
    window = limit.get_expiry()
    try:
        passes, remaining, wait = _count(key_of(name, network), limit.amount, window)
    except RedisError as error:
        RATE_LIMITER_ERRORS.inc()
        log.warning("rate_limiter_unavailable", error_type=type(error).__name__)
        return None
    # The window slides: nothing is given back at once, so what is left is for all of its length.
    return Verdict(True, remaining, window) if passes else Verdict(False, 0, wait // 1000 + 1)


def key_of(name: str, network: str) -> str:
    """The Redis key under which the requests of a network are counted for a limit."""
    limit = settings.RATE_LIMITS[name]
    return f"limit:{name}/{network}/{limit.amount}/{limit.get_expiry()}"


def _count(key: str, most: int, window: int) -> tuple[int, int, int]:
    """What `_COUNT` says of a request; `window` is in seconds. Raises `RedisError`."""
    passes, remaining, wait = get_script(_COUNT)([key], [most, window * 1000])
    return passes, remaining, wait
