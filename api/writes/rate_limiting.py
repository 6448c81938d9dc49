"""Rate limits by client network and route, counted in Redis.

Profile reads are not limited: Django does not serve them, and they stay at one round trip.
"""

from collections.abc import Callable
from typing import NamedTuple

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from redis import RedisError

from api.client_ip import client_network
from api.observability.registry import RATE_LIMITED_REQUESTS, RATE_LIMITER_ERRORS
from api.writes.error_handlers import problem_response
from domain.projection.client import describe_error, get_pool
from domain.projection.redis_command import run_script

log = structlog.get_logger(__name__)

# Methods (none: any), path prefix, name of the limit (None: not limited); the first match counts.
_ROUTES: tuple[tuple[tuple[str, ...], str, str | None], ...] = (
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

# A sliding window counter on Redis' clock, in one round trip: the requests of this window, and
# those of the window before, weighted by how much of it the sliding window still covers. A window
# starts with a request. `SlidingWindowCounterRateLimiter` of `limits` counts alike, in two round
# trips. Takes the limit and the window in seconds; returns the fields of `RateLimitResult`. The
# window slides, so no quota is restored at one moment: an allowed request resets after a window.
_HIT_SCRIPT = """
local limit, window = tonumber(ARGV[1]), ARGV[2] * 1000
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local stored = redis.call('HMGET', KEYS[1], 'started_at', 'count', 'previous')
local started_at = tonumber(stored[1]) or now
local count, previous = tonumber(stored[2]) or 0, tonumber(stored[3]) or 0
if now < started_at or now >= started_at + 2 * window then
  started_at, count, previous = now, 0, 0
elseif now >= started_at + window then
  started_at, count, previous = started_at + window, 0, count
end
local remaining = started_at + window - now
local used = math.floor(previous * remaining / window) + count
if used < limit then
  redis.call('HSET', KEYS[1], 'started_at', started_at, 'count', count + 1, 'previous', previous)
  redis.call('PEXPIRE', KEYS[1], window + remaining)
  return {1, limit - used - 1, window / 1000}
end
if previous > 0 then
  local until_one_less = remaining % (window / previous)
  if count > 0 then
    remaining = math.min(remaining, until_one_less)
  else
    remaining = until_one_less
  end
end
return {0, 0, math.floor(remaining / 1000) + 1}
"""


class RateLimitResult(NamedTuple):
    """Whether the request is allowed, how many more are, and for how many seconds that holds."""

    allowed: int  # 1 or 0
    remaining: int
    reset_after: int


def rate_limit_middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: 429 above a limit, and `RateLimit` headers on every limited route."""

    def middleware(request: HttpRequest) -> HttpResponse:
        name = match_limit(request.method or "", request.path_info)
        result = name and hit(name, client_network(request.META["REMOTE_ADDR"]))
        if not name or not result:
            return get_response(request)
        if result.allowed:
            response = get_response(request)
        else:
            RATE_LIMITED_REQUESTS.labels(name).inc()
            retry_after = {"retry-after": str(result.reset_after)}
            response = problem_response(request, "rate_limited", retry_after)
        # draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4.
        limit = settings.RATE_LIMITS[name]
        response["RateLimit-Policy"] = f'"{name}";q={limit.amount};w={limit.get_expiry()}'
        response["RateLimit"] = f'"{name}";r={result.remaining};t={result.reset_after}'
        return response

    return middleware


def match_limit(method: str, path: str) -> str | None:
    """Returns the name of the limit that applies to a request, if there is one."""
    for methods, prefix, name in _ROUTES:
        if path.startswith(prefix) and (not methods or method in methods):
            return name
    return None


def hit(name: str, network: str) -> RateLimitResult | None:
    """Counts a request. Fails open: returns None when Redis is unavailable."""
    limit = settings.RATE_LIMITS[name]
    try:
        call = (redis_key(name, network), limit.amount, limit.get_expiry())
        (reply,) = run_script(get_pool(), _HIT_SCRIPT, [call])
    except RedisError as error:
        RATE_LIMITER_ERRORS.inc()
        log.warning("rate_limiter_unavailable", **describe_error(error))
        return None
    return RateLimitResult(*reply)


def redis_key(name: str, network: str) -> str:
    """Returns the Redis key that counts the requests of a network against a limit."""
    limit = settings.RATE_LIMITS[name]
    return f"ratelimit:{name}/{network}/{limit.amount}/{limit.get_expiry()}"
