"""Converts errors to RFC 9457 problem documents, including Django's own."""

from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from rest_framework import exceptions

from api.problem_details import ProblemDetails, build_problem, problem_from_error
from domain.model.errors import RollcallError
from domain.model.language import negotiate_language


def problem_response(
    request: HttpRequest, code: str, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """Returns the problem document for a code of `api.problem_details.PROBLEMS`."""
    language = get_response_language(request)
    return _to_response(build_problem(code, _request_id(request), headers, language=language))


def error_response(request: HttpRequest, error: RollcallError) -> HttpResponse:
    """Returns the problem document for one of our own errors."""
    language = get_response_language(request)
    return _to_response(problem_from_error(error, _request_id(request), language))


def get_response_language(request: HttpRequest) -> str:
    """Returns the language of texts in the response to a request."""
    accept_language = request.META.get("HTTP_ACCEPT_LANGUAGE", "")
    return negotiate_language(accept_language) or settings.DEFAULT_LANGUAGE


def _to_response(problem: ProblemDetails) -> HttpResponse:
    return HttpResponse(problem.body, status=problem.status, headers=problem.headers)


def _request_id(request: HttpRequest) -> str:
    return getattr(request, "request_id", "")


def exception_handler(error: Exception, context: Mapping[str, Any]) -> HttpResponse | None:
    """DRF's hook: turns a view's exception into a problem document; None: Django's handler500."""
    request: HttpRequest = context["request"]
    match error:
        case RollcallError():
            return error_response(request, error)
        case exceptions.MethodNotAllowed():
            allowed = ", ".join(context["view"].allowed_methods)
            return problem_response(request, "method_not_allowed", {"allow": allowed})
        case exceptions.UnsupportedMediaType():
            accepted = {"accept": "application/json"}
            return problem_response(request, "unsupported_media_type", accepted)
        case Http404():
            return problem_response(request, "not_found")
    return None


def _make_handler(code: str) -> Callable[..., HttpResponse]:
    """Returns a handler for errors that are raised outside of views."""
    return lambda request, *_args, **_kwargs: problem_response(request, code)


bad_request = _make_handler("bad_request")
forbidden = _make_handler("forbidden")  # also for a form without its CSRF token
not_found = _make_handler("not_found")
server_error = _make_handler("internal_error")
