"""Responses of the read process: status, header block and body.

Pure functions: no clock, no I/O. Request headers have lower-case names, and repeated fields joined
by a comma.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from api.http_server.response_encoding import encode_headers
from api.preconditions import evaluate_preconditions
from api.problem_details import (
    ProblemDetails,
    build_problem,
    problem_from_error,
    resolve_request_id,
)
from domain.model.errors import InvalidField, PreconditionFailed, RollcallError
from domain.model.language import negotiate_language
from settings import environment

type Headers = Mapping[str, str]
# Status, header block, body. The server adds the length, and leaves the body out where the protocol
# has none: for HEAD and 304.
type Response = tuple[int, bytes, bytes]

METHODS = ("GET", "HEAD")
_VARY = ("vary", "Authorization, Cookie")
_CACHING = encode_headers([("cache-control", "private, no-cache"), _VARY])
_ETAG: Final = b"etag: "
_REQUEST_ID: Final = b"\r\nx-request-id: "
_END: Final = b"\r\n"
_HEADERS_200: Final = b"content-type: application/json\r\n" + _CACHING + _ETAG


def profile_response(headers: Headers, body: bytes, etag: bytes) -> Response:
    """Returns 200, 304 or 412 with a profile and its ETag."""
    request_id = get_request_id(headers).encode()
    if "if-match" in headers or "if-none-match" in headers:
        tags = headers.get("if-match"), headers.get("if-none-match")
        status = evaluate_preconditions("GET", etag.decode(), *tags)  # HEAD is the same
        if status == HTTPStatus.NOT_MODIFIED:
            return status, b"".join((_CACHING, _ETAG, etag, _REQUEST_ID, request_id, _END)), body
        if status is not None:
            return error_response(headers, PreconditionFailed())
    return 200, b"".join((_HEADERS_200, etag, _REQUEST_ID, request_id, _END)), body


def error_response(headers: Headers, error: RollcallError) -> Response:
    """Returns 401, 412 or 503 for one of our own errors."""
    request_id = get_request_id(headers)
    document = problem_from_error(error, request_id, _get_language(headers))
    return _encode_problem(
        document, ("vary", "Authorization, Cookie"), ("x-request-id", request_id)
    )


def problem_response(headers: Headers, code: str, *extra: tuple[str, str]) -> Response:
    """Returns the problem document of an error code, with extra headers."""
    request_id = get_request_id(headers)
    document = build_problem(code, request_id, language=_get_language(headers))
    return _encode_problem(document, *extra, ("x-request-id", request_id))


def validation_response(headers: Headers, errors: Mapping[str, InvalidField]) -> Response:
    """Returns a 400 that names every wrong field."""
    request_id, language = get_request_id(headers), _get_language(headers)
    document = build_problem("validation_failed", request_id, errors=errors, language=language)
    return _encode_problem(document, ("x-request-id", request_id))


def redirect_to_https(headers: Headers, target: bytes) -> Response:
    """Returns the redirect of a request that was made by plain HTTP."""
    location = f"https://{headers.get('host', '')}{target.decode('latin-1')}"
    return 301, encode_headers([("location", location)]), b""


def _encode_problem(document: ProblemDetails, *extra: tuple[str, str]) -> Response:
    return document.status, encode_headers([*document.headers.items(), *extra]), document.body


def _get_language(headers: Headers) -> str:
    """Returns the language of the texts in an error."""
    preferred = negotiate_language(headers.get("accept-language", ""))
    return preferred or environment.DEFAULT_LANGUAGE


def get_request_id(headers: Headers) -> str:
    """Returns the client's request id if it is safe to log, else a new one at each call."""
    return resolve_request_id(headers.get("x-request-id", ""))
