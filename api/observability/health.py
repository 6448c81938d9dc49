"""Liveness and readiness of the write process."""

from collections.abc import Callable
from threading import Lock
from time import monotonic

import structlog
from django.db import Error, connection
from django.http import Http404, HttpResponse
from drf_spectacular.utils import OpenApiParameter
from redis import AuthenticationError, RedisError
from redis.exceptions import NoPermissionError
from rest_framework.request import Request

from api.writes.base import NoStoreAPIView
from api.writes.json_parser import json_response
from api.writes.openapi import PUBLIC, operation
from api.writes.response_serializers import LivenessSerializer, ReadinessSerializer
from domain import fence
from domain.postgres.backend.connection import MisconfiguredServer
from domain.postgres.errors import to_service_unavailable
from domain.postgres.sql import fetch_one
from domain.projection.client import Primary, describe_error, get_primaries
from domain.projection.redis_command import execute_pipeline

log = structlog.get_logger(__name__)

_TTL = 1.0  # seconds that the result of a check is used for
_MAX_WAIT = 1.0  # seconds for a dependency to respond


class CachedCheck:
    """Runs a check at most once a second, in one thread at a time.

    `check` returns "ok", or the name of what is wrong.
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


class LivenessView(NoStoreAPIView):
    """200: this process responds. It checks no dependency."""

    @operation("getLiveness", "Get the liveness", {200: LivenessSerializer}, security=PUBLIC)
    def get(self, request: Request) -> HttpResponse:
        return json_response({"status": "ok"})


class ReadinessView(NoStoreAPIView):
    """200 if all capabilities are available, else 503; the body has the state of each.

    `?capability=read` (or `write`) checks that one alone: a load balancer that removes an instance
    because Postgres is unavailable would also stop its reads, which do not need Postgres.
    """

    @operation(
        "getReadiness",
        "Get the readiness",
        {200: ReadinessSerializer, 503: ReadinessSerializer, 404: None},
        OpenApiParameter(
            "capability", str, enum=("read", "write"), many=True, description="Check it alone."
        ),
        security=PUBLIC,
    )
    def get(self, request: Request) -> HttpResponse:
        capabilities = request.GET.getlist("capability") or list(_CHECKS)
        if not set(capabilities) <= _CHECKS.keys():
            raise Http404
        states = {name: _CHECKS[name].state() for name in capabilities}
        if all(state == "ok" for state in states.values()):
            return json_response({"status": "ok", **states})
        return json_response({"status": "unavailable", **states}, 503, {"Retry-After": "1"})


def _check_redis() -> str:
    """Returns "ok" if one primary is: without the others of a Redis Cluster the service goes on for
    its people.
    """
    try:
        states = [_check_primary(primary) for primary in get_primaries()]
    except RedisError as error:
        return _describe_failure(error)
    return "ok" if "ok" in states else states[0]


def _describe_failure(error: RedisError) -> str:
    log.warning("redis_error", **describe_error(error))
    is_denied = isinstance(error, AuthenticationError | NoPermissionError)
    return "misconfigured" if is_denied else "unavailable"


def _check_primary(primary: Primary) -> str:
    commands = *fence.fence_commands(primary.fence_key), ("INFO", "memory")
    try:
        *fence_replies, memory = execute_pipeline(primary.pool, commands)
    except RedisError as error:
        return _describe_failure(error)
    if not fence.is_primary(fence_replies[1]):
        # The connections outlive a failover; the next ones may find the new primary.
        primary.pool.disconnect(inuse_connections=False)
        return "unavailable"
    # Any other policy evicts profiles when memory is short, sessions included.
    if b"maxmemory_policy:noeviction" not in memory:
        return "misconfigured"
    # Readers wait until a relay has marked what older data lack.
    return "ok" if fence.is_trusted(fence_replies) else "stale"


def _check_postgres() -> str:
    try:
        (read_only,) = fetch_one("SHOW transaction_read_only")
    except Error as error:
        if isinstance(error.__cause__, MisconfiguredServer):
            return "misconfigured"  # its log line names what to set
        if to_service_unavailable(error):
            return "unavailable"
        raise
    if read_only == "on":
        connection.close()  # the next connection may find the primary
        return "read_only"
    return "ok"


_CHECKS = {"read": CachedCheck(_check_redis), "write": CachedCheck(_check_postgres)}
