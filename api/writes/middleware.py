"""Middleware of the write process, where Django has none. settings/base.py has the order.

Fields are read from `META`: `headers`, which Django makes of all of them, is 4 % of a sign-up.
"""

import select
import socket
from collections.abc import Callable
from threading import Lock
from time import perf_counter, process_time, time
from typing import Any

import structlog
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.middleware import common
from django.utils.deprecation import MiddlewareMixin

from api.client_ip import get_client_ip
from api.problem_details import resolve_request_id
from api.writes.error_handlers import error_response, problem_response
from domain.metrics.registry import HTTP_REQUEST_DURATION, PROCESS_CPU
from domain.model.errors import RollcallError, ServiceUnavailable
from domain.postgres.errors import to_service_unavailable

log = structlog.get_logger(__name__)

type GetResponse = Callable[[HttpRequest], HttpResponse]

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
_PROBES = frozenset({"/livez", "/readyz", "/metrics"})
_MAX_QUEUE_TIME = 60.0  # seconds


class MetricsMiddleware:
    """Observes each request's duration by method, route and status, and the process's CPU time."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self._cpu, self._cpu_seconds = PROCESS_CPU.labels("write"), 0.0
        self._lock = Lock()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        queue_time, started_at = get_queue_time(request), perf_counter()
        response = self.get_response(request)
        method, route = get_method_label(request), get_route_label(request)
        duration = HTTP_REQUEST_DURATION.labels(method, route, response.status_code, "")
        duration.observe(queue_time + perf_counter() - started_at)
        with self._lock:
            now = process_time()
            self._cpu.inc(now - self._cpu_seconds)
            self._cpu_seconds = now
        return response


def get_method_label(request: HttpRequest) -> str:
    """Returns the method, "other" for an unknown one: never what a client has chosen freely, since
    the number of label values must be bounded.
    """
    return request.method if request.method in _METHODS else "other"


def get_route_label(request: HttpRequest) -> str:
    """Returns the route of a request that has been resolved, "none" if no route matches."""
    match = request.resolver_match
    return f"/{match.route.rstrip('/')}" if match else "none"


def get_queue_time(request: HttpRequest) -> float:
    """Returns the seconds since the read process received the first byte of the request.

    It sends the Unix time of that as `X-Request-Start: t=…`. From others that is not trusted: 0.
    """
    if request.META.get("REMOTE_ADDR"):  # empty on a unix socket
        return 0.0
    try:
        seconds = time() - float(request.META.get("HTTP_X_REQUEST_START", "").removeprefix("t="))
    except ValueError:
        return 0.0
    return seconds if 0 < seconds < _MAX_QUEUE_TIME else 0.0


def request_id_middleware(get_response: GetResponse) -> GetResponse:
    """Gives each request an id (the client's `X-Request-ID`, if valid), for logs and responses."""

    def middleware(request: HttpRequest) -> HttpResponse:
        request_id = resolve_request_id(request.META.get("HTTP_X_REQUEST_ID", ""))
        request.request_id = request_id  # type: ignore[attr-defined]  # read by problem documents
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = get_response(request)
        response["X-Request-ID"] = request_id
        return response

    return middleware


class CommonMiddleware(common.CommonMiddleware):
    """Django's, which checks `Host`; but probes are answered whatever it is, since orchestrators
    address a process by its IP, and a request of HTTP/1.1 without one is a 400 (RFC 9112 section
    3.2), where Django would take the server's own name.
    """

    def process_request(self, request: HttpRequest) -> Any:
        if "HTTP_HOST" not in request.META and request.META["SERVER_PROTOCOL"] != "HTTP/1.0":
            raise DisallowedHost("missing Host header")
        if request.path_info.rstrip("/") in _PROBES:
            return None
        return super().process_request(request)


class ClientIPMiddleware(MiddlewareMixin):
    """Sets `REMOTE_ADDR` to the client's address; see `api.client_ip`."""

    def process_request(self, request: HttpRequest) -> None:
        peer = request.META.get("REMOTE_ADDR", "")
        forwarded_for = request.META.get("HTTP_X_FORWARDED_FOR", "")
        client = get_client_ip(peer, forwarded_for, settings.TRUSTED_PROXIES)
        request.META["REMOTE_ADDR"] = client


class RequestBodyMiddleware(MiddlewareMixin):
    """Refuses a body that is too large, or that has a content coding (RFC 9110 section 12.5.3).

    No view reads more than `Content-Length` bytes: Django's request ends there.
    """

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        size = int(request.META.get("CONTENT_LENGTH") or 0)
        is_webhook = request.path_info.startswith("/webhooks/")
        if size > (settings.WEBHOOK_BODY_MAX_BYTES if is_webhook else settings.BODY_MAX_BYTES):
            return problem_response(request, "body_too_large")
        if size and request.META.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
            accepted = {"accept-encoding": "identity"}
            return problem_response(request, "unsupported_media_type", accepted)
        return None


class AbandonedRequestMiddleware(MiddlewareMixin):
    """Does not execute a request whose client has closed the connection while the request waited
    for a thread: it would take time from others, and take effect after the client's next attempt. A
    repeated sign-up would so lose the session that this attempt was answered with.
    """

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        connection = request.META.get("gunicorn.socket")
        if connection is None or not _is_closed(connection):
            return None
        log.info("request_abandoned")
        return error_response(request, ServiceUnavailable())


def _is_closed(connection: socket.socket) -> bool:
    """Returns whether the peer has closed or reset a connection. Not whether it has only ended its
    side: it may still read (a TCP peer that closes gracefully cannot be distinguished from that).
    """
    poll = select.poll()
    poll.register(connection, 0)  # POLLHUP and POLLERR are always reported
    return bool(poll.poll(0))


class ProblemDetailsMiddleware(MiddlewareMixin):
    """Turns an exception into a problem document, and the empty 405 of Django's own views; other
    errors are left to handler500.
    """

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        known = error if isinstance(error, RollcallError) else to_service_unavailable(error)
        return error_response(request, known) if known else None

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if isinstance(response, HttpResponseNotAllowed):
            allowed = {"allow": response["Allow"]}
            return problem_response(request, "method_not_allowed", allowed)
        return response


class _AdminOnly(MiddlewareMixin):
    """Runs a middleware of Django's for the admin alone: nothing else has a browser session."""

    def __call__(self, request: HttpRequest) -> Any:
        if request.path_info.startswith("/admin"):
            return super().__call__(request)
        return self.get_response(request)


class AdminSessionMiddleware(_AdminOnly, SessionMiddleware):
    """Sessions of staff."""


class AdminAuthenticationMiddleware(_AdminOnly, AuthenticationMiddleware):
    """The staff user of the session."""


class AdminMessageMiddleware(_AdminOnly, MessageMiddleware):
    """Messages after an action of staff."""
