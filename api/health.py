"""Probes: is this process alive, and what can it do at the moment?"""

from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import cast

import orjson
import structlog
from django.db import connection
from django.http import HttpRequest, HttpResponse
from redis import RedisError

from api.problems import only, problem
from domain import vouched
from domain.errors import ServiceUnavailable
from domain.stores.postgres.errors import translate_database_errors
from domain.stores.profiles import get_client

log = structlog.get_logger(__name__)

_TTL = 1.0  # seconds that the result of a check is used for
_MAX_WAIT = 1.0  # seconds; what has not responded by then is unavailable


class CachedCheck:
    """Runs a check at most once a second, in one thread at a time: probes may be many.

    `check` returns "ok", or a word for what is wrong.
    """

    def __init__(self, check: Callable[[], str]) -> None:
        self._check = check
        self._running = Lock()
        self._state = "unavailable"
        self._expires_at = float("-inf")

    def state(self) -> str:
        """Returns the result of the latest check, or "unavailable" for one that takes too long."""
        if monotonic() < self._expires_at:
            return self._state
        if self._running.acquire(blocking=False):
            try:
                self._state = self._check()
                self._expires_at = monotonic() + _TTL
            finally:
                self._running.release()
        elif self._state == "ok":  # a failure is reported until a check succeeds
            if not self._running.acquire(timeout=_MAX_WAIT):
                return "unavailable"
            self._running.release()
        return self._state


@only("GET", "HEAD")
def livez(request: HttpRequest) -> HttpResponse:
    """200 as long as this process answers at all; it asks nobody else."""
    return _json({"status": "ok"}, 200)


@only("GET", "HEAD")
def readyz(request: HttpRequest) -> HttpResponse:
    """200 if all that was asked for can be done, else 503; the body tells each capability.

    `?capability=read` (or `write`) asks for that alone: a balancer that takes an instance out
    because Postgres is away would also stop the reads, which do not need it.
    """
    wanted = request.GET.getlist("capability") or list(_CHECKS)
    if set(wanted) - set(_CHECKS):
        return problem(request, "not_found")
    states = {name: _CHECKS[name].state() for name in wanted}
    ready = all(state == "ok" for state in states.values())
    return _json({"status": "ok" if ready else "unavailable", **states}, 200 if ready else 503)


def _read() -> str:
    try:
        policy = get_client().info("memory").get("maxmemory_policy")
        run = str(get_client().info("server").get("run_id", ""))
        vouched_for = cast(bytes | None, get_client().hget(vouched.FENCE_KEY, vouched.RUN_ID))
    except RedisError as error:
        log.warning("redis_error", error_type=type(error).__name__)
        return "unavailable"
    # Any other policy throws profiles away when memory is short, sessions and all.
    if policy != "noeviction":
        return "misconfigured"
    # Readers wait until a relay has looked what an older state lacks.
    return "ok" if vouched.is_trusted(run.encode(), vouched_for) else "unchecked"


def _write() -> str:
    try:
        with translate_database_errors(), connection.cursor() as cursor:
            cursor.execute("SHOW transaction_read_only")
            (read_only,) = cursor.fetchone()
    except ServiceUnavailable:
        return "unavailable"
    if read_only == "on":
        connection.close()  # the next connection may find the primary
        return "read_only"
    return "ok"


_CHECKS = {"read": CachedCheck(_read), "write": CachedCheck(_write)}


def _json(document: dict[str, str], status: int) -> HttpResponse:
    response = HttpResponse(orjson.dumps(document), status=status, content_type="application/json")
    response["Cache-Control"] = "no-store"
    if status == 503:
        response["Retry-After"] = "1"
    return response
