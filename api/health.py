"""Probes: is this process alive, and what can it do at the moment?"""

from collections.abc import Callable
from typing import cast

import orjson
import structlog
from django.db import connection
from django.http import HttpRequest, HttpResponse
from redis import RedisError

from api.patience import answer_of_postgres
from api.problems import only, problem
from domain import vouched
from domain.errors import Unavailable
from domain.stores.profiles import redis

log = structlog.get_logger(__name__)


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
    states = {name: _CHECKS[name]() for name in wanted}
    ready = all(state == "ok" for state in states.values())
    return _json({"status": "ok" if ready else "unavailable", **states}, 200 if ready else 503)


def _read() -> str:
    try:
        policy = redis().info("memory").get("maxmemory_policy")
        run = str(redis().info("server").get("run_id", ""))
        vouched_for = cast(bytes | None, redis().hget(vouched.KEY, vouched.RUN))
    except RedisError as error:
        log.warning("profile_redis_unavailable", error=type(error).__name__)
        return "unavailable"
    # Any other policy throws profiles away when memory is short, sessions and all.
    if policy != "noeviction":
        return "misconfigured"
    # Readers wait until a relay has looked what an older state lacks.
    return "ok" if vouched.may_be_believed(run.encode(), vouched_for) else "unchecked"


def _write() -> str:
    try:
        answer_of_postgres(_select_1)
    except Unavailable:
        return "unavailable"
    return "ok"


def _select_1() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


_CHECKS: dict[str, Callable[[], str]] = {"read": _read, "write": _write}


def _json(document: dict[str, str], status: int) -> HttpResponse:
    response = HttpResponse(orjson.dumps(document), status=status, content_type="application/json")
    response["Cache-Control"] = "no-store"
    if status == 503:
        response["Retry-After"] = "1"
    return response
