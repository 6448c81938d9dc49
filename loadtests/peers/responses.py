"""Common responses of the Python peers; header names are in lower case."""

from typing import NamedTuple

from api.problem_details import problem_from_error, resolve_request_id
from domain.model.errors import InvalidToken, ServiceUnavailable

# As Django's middleware sends them.
SECURITY_HEADERS = {
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


class ErrorResponse(NamedTuple):
    """Status, headers and body of a problem document."""

    status: int
    headers: dict[str, str]
    body: bytes


def profile_headers(etag: str, request_id: str) -> dict[str, str]:
    """Returns those of a 200 or 304; `request_id` is the client's own, or empty."""
    return {
        "etag": etag,
        "cache-control": "private, no-cache",
        "vary": "Authorization, Cookie",
        "x-request-id": resolve_request_id(request_id),
    }


def error_response(error: InvalidToken | ServiceUnavailable, request_id: str) -> ErrorResponse:
    """Returns the 401 or 503 for an error; `request_id` is the client's own, or empty."""
    resolved_id = resolve_request_id(request_id)
    document = problem_from_error(error, resolved_id)
    extra = {"vary": "Authorization, Cookie", "x-request-id": resolved_id}
    return ErrorResponse(document.status, {**document.headers, **extra}, document.body)


def matches(if_none_match: str, etag: str) -> bool:
    """Compares with a list of tags, weakly, or with `*` (RFC 9110 section 13.1.2)."""
    if if_none_match.strip() == "*":
        return True
    return any(tag.strip().removeprefix("W/") == etag for tag in if_none_match.split(","))
