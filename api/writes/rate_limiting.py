"""Rate limits by route and client network, and for all anonymous clients together, in Redis.

Profile reads are not limited: Django does not serve them, and they stay at one round trip.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from redis import RedisError

from api.bearer import find_session_token
from api.client_ip import client_network, client_site
from api.writes.error_handlers import problem_response
from domain.metrics.registry import RATE_LIMITED_REQUESTS, RATE_LIMITER_ERRORS
from domain.model.errors import InvalidToken
from domain.model.session_token import verify_token
from domain.postgres.keyring import get_keyring
from domain.projection.client import describe_error, get_pool
from domain.projection.redis_command import run_script

log = structlog.get_logger(__name__)

# Methods (none: any), path prefix, name of the limit (None: not limited); the first match counts.
_ROUTES: tuple[tuple[tuple[str, ...], str, str | None], ...] = (
    (("GET", "HEAD"), "/api/v1/profile/export", "other"),
    (("GET", "HEAD"), "/api/v1/profile", None),
    ((), "/api/v1/introspect", None),  # by the operator's own backends
    (("POST",), "/api/v1/signup", "sign-up"),
    (("POST",), "/api/v1/sessions/current", "other"),
    (("POST",), "/api/v1/sessions", "sign-in"),
    (("POST",), "/api/v1/confirmations", "confirmation"),
    (("POST",), "/confirm/", "confirmation"),
    ((), "/api/v1/schema", "docs"),
    ((), "/api/v1/docs", "docs"),
    ((), "/api/v1/", "other"),
    ((), "/webhooks/", "webhook"),
    (("POST",), "/admin/login", "admin-login"),
)

# Whose clients have no session yet: a token that they send does not make them known.
_ALWAYS_ANONYMOUS = frozenset({"sign-up", "sign-in"})
# The providers and the staff must get through while anonymous clients use up their limit.
_NEVER_ANONYMOUS = frozenset({"webhook", "admin-login"})

# A sliding window counter on Redis' clock, for several limits in one round trip: the requests of
# this window, and those of the window before, weighted by how much of it the sliding window still
# covers. A window starts with a request. `SlidingWindowCounterRateLimiter` of `limits` counts
# alike, in two round trips for each limit.
#
# A request is counted against all limits or none, so that those that a narrow one rejects use up no
# wide one. Takes the limit and the window in seconds for each key, the narrowest first; returns the
# fields of `RateLimitResult`. The window slides, so no quota is restored at one moment: an allowed
# request resets after a window.
_HIT_SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local result = {1, 0, math.huge, 0}
local new_windows = {}
for i, key in ipairs(KEYS) do
  local limit, window = tonumber(ARGV[2 * i - 1]), ARGV[2 * i] * 1000
  local stored = redis.call('HMGET', key, 'started_at', 'count', 'previous')
  local started_at = tonumber(stored[1]) or now
  local count, previous = tonumber(stored[2]) or 0, tonumber(stored[3]) or 0
  if now < started_at or now >= started_at + 2 * window then
    started_at, count, previous = now, 0, 0
  elseif now >= started_at + window then
    started_at, count, previous = started_at + window, 0, count
  end
  local remaining = started_at + window - now
  local used = math.floor(previous * remaining / window) + count
  if used >= limit then
    if previous > 0 then
      local until_one_less = remaining % (window / previous)
      if count > 0 then
        remaining = math.min(remaining, until_one_less)
      else
        remaining = until_one_less
      end
    end
    return {0, i - 1, 0, math.floor(remaining / 1000) + 1}
  end
  if limit - used - 1 < result[3] then
    result = {1, i - 1, limit - used - 1, window / 1000}
  end
  if stored[1] ~= tostring(started_at) then
    new_windows[i] = {started_at, previous, window + remaining}
  end
end
for i, key in ipairs(KEYS) do
  if new_windows[i] then
    local started_at, previous, expiry = unpack(new_windows[i])
    redis.call('HSET', key, 'started_at', started_at, 'count', 1, 'previous', previous)
    redis.call('PEXPIRE', key, expiry)
  else
    redis.call('HINCRBY', key, 'count', 1)
  end
end
return result
"""


class Counter(NamedTuple):
    """The limit, by its name in the settings, and the clients that are counted together."""

    limit: str
    clients: str


class RateLimitResult(NamedTuple):
    """What the limits say of one request."""

    allowed: int  # 1 or 0
    counter_index: int  # of the limit that rejects it, or else that will be reached first
    remaining: int  # requests that it still allows
    reset_after: int  # seconds for which `remaining` holds


def rate_limit_middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: 429 above a limit, and `RateLimit` headers on every limited route."""

    def middleware(request: HttpRequest) -> HttpResponse:
        limit_name = match_limit(request.method or "", request.path_info)
        counters = _counters(request, limit_name) if limit_name else []
        result = hit(counters) if counters else None
        if result is None:
            return get_response(request)
        name = counters[result.counter_index].limit
        if result.allowed:
            response = get_response(request)
        else:
            RATE_LIMITED_REQUESTS.labels(name).inc()
            retry_after = {"retry-after": str(result.reset_after)}
            response = problem_response(request, "rate_limited", retry_after)
        # draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4: of several limits the one that
        # the client has to respect.
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


def _counters(request: HttpRequest, route: str) -> list[Counter]:
    """Returns what a request is counted by, the narrowest first."""
    address = request.META["REMOTE_ADDR"]
    counters = [Counter(route, client_network(address))]
    if site := client_site(address):
        counters.append(Counter(f"{route}-site", site))
    if _is_anonymous(request, route):
        counters.append(Counter("anonymous", "all"))
    return counters


def _is_anonymous(request: HttpRequest, route: str) -> bool:
    """Returns whether nothing proves that the client has signed up; a token's MAC does (no I/O)."""
    if route in _ALWAYS_ANONYMOUS:
        return True
    if route in _NEVER_ANONYMOUS:
        return False
    try:
        get = request.META.get
        token = find_session_token(get("HTTP_AUTHORIZATION"), get("HTTP_COOKIE", ""))
        verify_token(get_keyring(), token)
    except InvalidToken:
        return True
    return False


def hit(counters: Sequence[Counter]) -> RateLimitResult | None:
    """Counts a request, unless a limit rejects it. Fails open: returns None when Redis is
    unavailable.
    """
    call: list[str | int] = [redis_key(*counter) for counter in counters]
    for counter in counters:
        limit = settings.RATE_LIMITS[counter.limit]
        call += limit.amount, limit.get_expiry()
    try:
        (reply,) = run_script(get_pool(), _HIT_SCRIPT, [call], len(counters))
    except RedisError as error:
        RATE_LIMITER_ERRORS.inc()
        log.warning("rate_limiter_unavailable", **describe_error(error))
        return None
    return RateLimitResult(*reply)


def redis_key(name: str, clients: str) -> str:
    """Returns the Redis key that counts the requests of clients against a limit.

    All have one hash tag, so that Redis Cluster keeps them in one slot, as a script requires. It is
    no loss: the counter of the anonymous clients is in one slot anyway.
    """
    limit = settings.RATE_LIMITS[name]
    return f"{{ratelimit}}:{name}/{clients}/{limit.amount}/{limit.get_expiry()}"
