"""Converts errors to RFC 9457 problem documents, including Django's own."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions

from api import problem_details as documents
from api.problem_details import PROBLEMS
from domain.model.errors import RollcallError

type View = Callable[[HttpRequest], HttpResponse]


def problem_response(
    request: HttpRequest,
    code: str,
    headers: Mapping[str, str] | None = None,
    errors: list[dict[str, str]] | None = None,
) -> HttpResponse:
    """Returns the problem document for a code of `PROBLEMS`; `errors` lists every wrong field."""
    return _to_response(documents.build_problem(code, _request_id(request), headers, errors))


def _to_response(problem: documents.ProblemDetails) -> HttpResponse:
    return HttpResponse(problem.body, status=problem.status, headers=problem.headers)


def _request_id(request: HttpRequest) -> str:
    return getattr(request, "request_id", "")


def require_methods(*methods: str) -> Callable[[View], View]:
    """Decorates a view that needs no CSRF token: any other method is a 405 with `Allow`."""

    def decorate(view: View) -> View:
        @csrf_exempt
        @wraps(view)
        def wrapper(request: HttpRequest) -> HttpResponse:
            if request.method not in methods:
                return problem_response(
                    request, "method_not_allowed", {"allow": ", ".join(methods)}
                )
            return view(request)

        return wrapper

    return decorate


def error_response(request: HttpRequest, error: RollcallError) -> HttpResponse:
    """Returns the problem document for one of our own errors."""
    return _to_response(documents.problem_from_error(error, _request_id(request)))


def exception_handler(error: Exception, context: Mapping[str, Any]) -> HttpResponse | None:
    """DRF's hook: turns a view's exception into a problem document; None: Django's handler500."""
    request: HttpRequest = context["request"]
    match error:
        case RollcallError():
            return error_response(request, error)
        case exceptions.ValidationError():
            return problem_response(
                request, "validation_failed", errors=list(_flatten_errors(error.detail))
            )
        case exceptions.MethodNotAllowed():
            allowed = ", ".join(context["view"].allowed_methods)
            return problem_response(request, "method_not_allowed", {"allow": allowed})
        case exceptions.UnsupportedMediaType():
            return problem_response(
                request, "unsupported_media_type", {"accept": "application/json"}
            )
        case exceptions.APIException() if error.get_codes() in PROBLEMS:
            return problem_response(request, str(error.get_codes()))
        case Http404():
            return problem_response(request, "not_found")
    return None


def _flatten_errors(detail: Any, field: str = "") -> Any:
    """Yields DRF's nested error detail as field, code and message."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            yield from _flatten_errors(inner, f"{field}.{name}" if field else str(name))
    elif isinstance(detail, list):
        for inner in detail:
            yield from _flatten_errors(inner, field)
    else:
        yield {"field": field, "code": detail.code, "message": str(detail)}


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400."""
    if isinstance(exception, RequestDataTooBig):
        return problem_response(request, "body_too_large")
    return problem_response(request, "bad_request")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403."""
    return problem_response(request, "forbidden")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's view for a form without its CSRF token."""
    return problem_response(request, "forbidden")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404."""
    return problem_response(request, "not_found")


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500."""
    return problem_response(request, "internal_error")
