"""What happens around every request: a count, its id, and errors that no view has caught."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

import structlog
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

from api import counts
from api.problem_documents import request_id_of
from api.problems import problem_of
from domain.errors import RollcallError
from domain.stores.postgres.errors import unavailable

type Next = Callable[[HttpRequest], HttpResponse]


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})


class Counted:
    """Count each request by method, route and status, with the time that Django took for it."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = perf_counter()
        response = self.get_response(request)
        # Never what a stranger typed: there is no end to that.
        method = request.method if request.method in _METHODS else "other"
        match = request.resolver_match
        route = f"/{match.route.rstrip('/')}" if match else "none"
        took = perf_counter() - began
        counts.in_threads.took(took, "request_seconds", str(method), route, response.status_code)
        return response


class RequestId:
    """Give each request an id (the caller's `X-Request-ID`, if clean), for logs and answers."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = request_id_of(request.headers.get("X-Request-ID", ""))
        request.request_id = request_id  # type: ignore[attr-defined]  # read by problem documents
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response


class Problems:
    """Turn an error of a plain Django view into a problem document."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Called by Django with whatever a view let through; None leaves it to handler500."""
        known = error if isinstance(error, RollcallError) else unavailable(error)
        return problem_of(request, known) if known else None


class _ForStaff(MiddlewareMixin):
    """Middleware of Django's that only the pages of staff need: everybody else goes past it."""

    def __call__(self, request: HttpRequest) -> Any:
        if request.path_info.startswith("/admin/"):
            return super().__call__(request)
        return self.get_response(request)


class Sessions(_ForStaff, SessionMiddleware):
    """The session that a browser's cookie names."""


class Authentication(_ForStaff, AuthenticationMiddleware):
    """Whose session it is."""


class Messages(_ForStaff, MessageMiddleware):
    """What the page before has left to say."""
