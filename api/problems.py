"""Errors as RFC 9457 problem documents, also those that Django makes by itself."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions

from api import problem_documents as documents
from api.problem_documents import STATUS
from domain.errors import RollcallError

type View = Callable[[HttpRequest], HttpResponse]


def problem(
    request: HttpRequest,
    code: str,
    headers: Mapping[str, str] | None = None,
    errors: list[dict[str, str]] | None = None,
) -> HttpResponse:
    """A problem document for a code word of `STATUS`; `errors` lists every wrong field."""
    return _response(documents.problem(code, _request_id(request), headers, errors))


def _response(problem: documents.Problem) -> HttpResponse:
    return HttpResponse(problem.body, status=problem.status, headers=problem.headers)


def _request_id(request: HttpRequest) -> str:
    return getattr(request, "request_id", "")


def only(*methods: str) -> Callable[[View], View]:
    """Decorate a view that needs no CSRF token: other methods get a 405 that names these."""

    def decorate(view: View) -> View:
        @csrf_exempt
        @wraps(view)
        def guarded(request: HttpRequest) -> HttpResponse:
            if request.method not in methods:
                return problem(request, "method_not_allowed", {"allow": ", ".join(methods)})
            return view(request)

        return guarded

    return decorate


def problem_of(request: HttpRequest, error: RollcallError) -> HttpResponse:
    """The problem document for one of our own errors."""
    return _response(documents.problem_of(error, _request_id(request)))


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
            return problem(request, "method_not_allowed", {"allow": allowed})
        case exceptions.UnsupportedMediaType():
            return problem(request, "unsupported_media_type", {"accept": "application/json"})
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
