"""Errors as RFC 9457 problem documents, also those that Django makes by itself."""

from collections.abc import Callable, Mapping
from functools import wraps
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions

from domain.errors import RollcallError

log = structlog.get_logger(__name__)

type View = Callable[[HttpRequest], HttpResponse]

# The one table from code words to statuses; `detail` is for people.
STATUS: dict[str, tuple[int, str]] = {
    "malformed_json": (400, "The body is not valid JSON."),
    "validation_failed": (400, "Some fields are missing or wrong; see errors."),
    "bad_request": (400, "The request cannot be understood."),
    "code_invalid": (400, "This code confirms nothing."),
    "code_expired": (400, "This code is out of date."),
    "invalid_token": (401, "Send a valid session token as: Authorization: Bearer <token>."),
    "forbidden": (403, "This is not allowed."),
    "not_found": (404, "There is nothing here."),
    "method_not_allowed": (405, "This resource does not answer to that method."),
    "body_too_large": (413, "The body has more than 65536 octets."),
    "unsupported_media_type": (415, "Send the body as application/json."),
    "too_many_attempts": (429, "Too many tries; wait, or ask for a new code."),
    "internal_error": (500, "Something is wrong on our side; it has been logged."),
    "unavailable": (503, "A part of the service is away for the moment; try again soon."),
}


def problem(
    request: HttpRequest,
    code: str,
    headers: Mapping[str, str] | None = None,
    errors: list[dict[str, str]] | None = None,
) -> HttpResponse:
    """A problem document for a code word of `STATUS`; `errors` lists every wrong field."""
    status, detail = STATUS[code]
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": getattr(request, "request_id", ""),
    }
    if errors is not None:
        document["errors"] = errors
    response = HttpResponse(
        orjson.dumps(document), status=status, content_type="application/problem+json"
    )
    response["Cache-Control"] = "no-store"
    if status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = "Bearer"
    for name, value in (headers or {}).items():
        response[name] = value
    return response


def only(*methods: str) -> Callable[[View], View]:
    """Decorate a view that needs no CSRF token: other methods get a 405 that names these."""

    def decorate(view: View) -> View:
        @csrf_exempt
        @wraps(view)
        def guarded(request: HttpRequest) -> HttpResponse:
            if request.method not in methods:
                return problem(request, "method_not_allowed", {"Allow": ", ".join(methods)})
            return view(request)

        return guarded

    return decorate


def problem_of(request: HttpRequest, error: RollcallError) -> HttpResponse:
    """The problem document for one of our own errors."""
    retry_after = getattr(error, "retry_after", None)
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return problem(request, error.code if error.code in STATUS else "internal_error", headers)


def exception_handler(error: Exception, context: Mapping[str, Any]) -> HttpResponse | None:
    """DRF's hook: everything a view raises, as a problem document; None lets Django's 500 do it."""
    request: HttpRequest = context["request"]
    match error:
        case RollcallError():
            return problem_of(request, error)
        case exceptions.ValidationError():
            return problem(request, "validation_failed", errors=list(_flat(error.detail)))
        case exceptions.MethodNotAllowed():
            allowed = ", ".join(context["view"].allowed_methods)
            return problem(request, "method_not_allowed", {"Allow": allowed})
        case exceptions.UnsupportedMediaType():
            return problem(request, "unsupported_media_type", {"Accept": "application/json"})
        case exceptions.APIException() if error.get_codes() in STATUS:
            return problem(request, str(error.get_codes()))
        case Http404():
            return problem(request, "not_found")
    return None


def _flat(detail: Any, field: str = "") -> Any:
    """DRF's nested error detail as rows of field, code, message."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            yield from _flat(inner, f"{field}.{name}" if field else str(name))
    elif isinstance(detail, list):
        for inner in detail:
            yield from _flat(inner, field)
    else:
        yield {"field": field, "code": detail.code, "message": str(detail)}


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400."""
    if isinstance(exception, RequestDataTooBig):
        return problem(request, "body_too_large")
    if isinstance(exception, SuspiciousOperation):
        log.info("suspicious_request", kind=type(exception).__name__)
    return problem(request, "bad_request")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403."""
    return problem(request, "forbidden")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's answer to a form without its CSRF token."""
    return problem(request, "forbidden")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404."""
    return problem(request, "not_found")


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500."""
    return problem(request, "internal_error")
