"""The application of the read process: routes requests to profile, introspection, probes and
reverse proxy.
"""

import asyncio
import gc
import hmac
from asyncio import AbstractEventLoop, Future, TimerHandle
from functools import partial

import structlog

from api.cors import preflight_headers
from api.http_server.request import Request
from api.http_server.response_encoding import encode_headers
from api.observability.loop_metrics import loop_metrics
from api.problem_details import PROBLEMS
from api.reads import probes
from api.reads.backend_keys import BackendKeys
from api.reads.cache_miss import MissCoalescer
from api.reads.introspection import INTROSPECTION_PATHS, Introspection
from api.reads.profile import ProfileReader
from api.reads.proxy import Proxy
from api.reads.redis.cluster import make_redis
from api.reads.redis.server_check import STATUSES
from api.reads.request_policy import find_policy
from api.reads.responses import (
    METHODS,
    Response,
    error_response,
    get_request_id,
    problem_response,
    redirect_to_https,
)
from api.reads.socket_address import parse_upstream
from domain.metrics import registry
from domain.metrics.exposition import CONTENT_TYPE, render_process_metrics
from domain.model.errors import ServiceUnavailable
from domain.model.keyring import Keyring
from domain.redis_url import parse_url
from settings import environment

log = structlog.get_logger(__name__)

PROFILE_PATHS = frozenset({b"/api/v1/profile/", b"/api/v1/profile"})
_METRICS_PATHS = frozenset({b"/metrics", b"/metrics/"})
_WEBHOOKS = b"/webhooks/"
_FLUSH_INTERVAL = 1.0  # seconds


class Application:
    """Handles the requests of one read process; nothing is opened before `start`."""

    def __init__(self) -> None:
        environment.require("SECRET_KEY", "REDIS_URL", "ALLOWED_HOSTS")
        backend_keys = BackendKeys()
        self._redis = make_redis(
            parse_url(environment.REDIS_URL),
            timeout=environment.READ_REDIS_TIMEOUT,
            max_pending=environment.READ_REDIS_MAX_PENDING,
            max_staleness=environment.CLIENT_CACHE_MAX_STALENESS,
            cache_bytes=environment.CLIENT_CACHE_MAX_BYTES,
            backend_keys=backend_keys,
        )
        keys = Keyring([environment.SECRET_KEY, *environment.SECRET_KEY_FALLBACKS])
        misses = MissCoalescer(self._redis, environment.READ_MISS_TIMEOUT)
        self._reader = ProfileReader(self._redis, keys, misses)
        self._introspection = Introspection(self._redis, keys, misses, backend_keys)
        upstream = environment.WRITE_UPSTREAM
        self._proxy = Proxy(parse_upstream(upstream), self._reject) if upstream else None
        self._shutting_down = False
        self._loop: AbstractEventLoop
        self._flush_timer: TimerHandle | None = None

    # --- Life cycle ------------------------------------------------------------------------------

    def start(self) -> None:
        """Called before the first request, on the event loop."""
        # What is loaded by now stays for good: the garbage collector need not look at it again.
        gc.collect()
        gc.freeze()
        self._loop = asyncio.get_running_loop()
        self._redis.start()
        self._flush_metrics()

    def start_shutdown(self) -> None:
        """Fails readiness, so that load balancers use other processes."""
        self._shutting_down = True

    async def close(self) -> None:
        """Called after the last response."""
        await self._redis.close()
        if self._flush_timer is not None:
            self._flush_timer.cancel()
        loop_metrics.flush()

    def _flush_metrics(self) -> None:
        # Not in the loop's thread: the files may be on a slow disk.
        self._loop.run_in_executor(None, self._write_metrics)
        self._flush_timer = self._loop.call_later(_FLUSH_INTERVAL, self._flush_metrics)

    def _write_metrics(self) -> None:
        for status in STATUSES:
            registry.READ_PROCESSES.labels(status).set(status == self._redis.status)
            registry.REDIS_PRIMARIES.labels(status).set(self._redis.statuses().count(status))
        if self._proxy is not None:
            in_flight, admitted = self._proxy.in_flight, self._proxy.admitted
            registry.PROXY_REQUESTS.labels("in_flight").set(in_flight)
            registry.PROXY_REQUESTS.labels("waiting").set(max(0, admitted - in_flight))
        loop_metrics.flush()

    # --- Requests --------------------------------------------------------------------------------

    def handle(self, request: Request) -> None:
        """Responds to a request, now or later. Raises nothing."""
        head = request.head
        if head is not None and head.memo is not None:
            self._reader.handle(request, head.memo)
            return
        target, method = request.target, request.method
        path = target.partition(b"?")[0]
        if path in PROFILE_PATHS and method in METHODS:
            handler = self._read
        elif path in INTROSPECTION_PATHS:
            self._introspection.handle(request)
            return
        elif path in PROFILE_PATHS and _is_preflight(request):
            handler = self._preflight
        elif target in probes.TARGETS and method in METHODS:
            handler = self._probe
        elif self._proxy is not None:
            is_webhook = path.startswith(_WEBHOOKS)
            limit = environment.WEBHOOK_BODY_MAX_BYTES if is_webhook else environment.BODY_MAX_BYTES
            self._proxy.handle(request, limit)
            return
        else:
            handler = self._handle_without_proxy
        if request.content_length == 0:
            handler(request)
        else:
            request.read_body(environment.BODY_MAX_BYTES, handler)

    def _read(self, request: Request) -> None:
        policy = find_policy(request.fields)
        if not policy.is_allowed:
            self._respond(request, problem_response(request.fields, "bad_request"))
        elif policy.redirects:
            self._respond(request, redirect_to_https(request.fields, request.target))
        else:
            if request.head is not None:
                request.head.memo = policy.headers  # and that it is an allowed read
            self._reader.handle(request, policy.headers)

    def _preflight(self, request: Request) -> None:
        # Its headers are all that there is: those of the policy would repeat some of them.
        origin = request.headers.get("origin", "")
        pairs = preflight_headers(origin, environment.CORS_ALLOWED_ORIGINS)
        pairs.append(("x-request-id", get_request_id(request.headers)))
        request.respond(200, encode_headers(pairs), b"")

    def _probe(self, request: Request) -> None:
        request_id = get_request_id(request.headers)
        if request.target in probes.LIVENESS:
            response = probes.liveness(request_id)
        else:
            response = probes.readiness(self._redis, request_id, shutting_down=self._shutting_down)
        self._respond(request, response)

    def _handle_without_proxy(self, request: Request) -> None:
        """Responds to what belongs to the write process, where a load balancer routes."""
        headers, path = request.headers, request.target.partition(b"?")[0]
        if _asks_for_metrics(request):
            self._render_metrics(request)
        elif path in PROFILE_PATHS:
            allow = ("allow", ", ".join(METHODS))
            self._respond(request, problem_response(headers, "method_not_allowed", allow))
        else:
            self._respond(request, problem_response(headers, "not_found"))

    def _render_metrics(self, request: Request, *, write_up: bool | None = None) -> None:
        render = partial(render_process_metrics, write_up=write_up)
        task = self._loop.run_in_executor(None, render)
        task.add_done_callback(lambda done: self._respond_metrics(request, done))

    def _respond_metrics(self, request: Request, done: "Future[bytes]") -> None:
        if error := done.exception():
            log.error("metrics_read_failed", error_type=type(error).__name__)
            self._respond(request, problem_response(request.headers, "internal_error"))
        else:
            pairs = [("content-type", CONTENT_TYPE), ("cache-control", "no-store")]
            self._respond(request, (200, encode_headers(pairs), done.result()))

    def error_response(self, code: str, request: Request) -> Response:
        """Returns the response to what the connection or the proxy rejects: an error code, or the
        reason of a 503. Both are counted.
        """
        loop_metrics.inc(registry.HTTP_REQUESTS_REJECTED, code)
        headers = request.headers
        if code in PROBLEMS:
            status, block, body = problem_response(headers, code)
        else:
            status, block, body = error_response(headers, ServiceUnavailable())
        return status, block + find_policy(headers).headers, body

    def _reject(self, request: Request, reason: str) -> None:
        if _asks_for_metrics(request):  # which then say that the write process does not answer
            self._render_metrics(request, write_up=False)
        else:
            request.respond(*self.error_response(reason, request))

    def _respond(self, request: Request, response: Response) -> None:
        status, headers, body = response
        request.respond(status, headers + find_policy(request.headers).headers, body)


def _is_preflight(request: Request) -> bool:
    return (
        request.method == "OPTIONS"
        and "access-control-request-method" in request.headers
        and bool(environment.CORS_ALLOWED_ORIGINS)
    )


def _asks_for_metrics(request: Request) -> bool:
    """Returns whether this is a request for the metrics by a client that may see them."""
    path = request.target.partition(b"?")[0]
    if path not in _METRICS_PATHS or request.method not in METHODS:
        return False
    if not environment.METRICS_TOKEN:
        return environment.METRICS_PUBLIC
    expected = f"Bearer {environment.METRICS_TOKEN}".encode()
    return hmac.compare_digest(request.headers.get("authorization", "").encode(), expected)
