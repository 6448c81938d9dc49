"""Problem documents (RFC 9457) as plain values, for every door of the service: no framework here.

Also the request id that stands in each of them.
"""

import itertools
import re
import secrets
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson

from domain.errors import RollcallError

# The one table from code words to statuses; `detail` is for people.
STATUS: dict[str, tuple[int, str]] = {
    "malformed_json": (400, "The body is not valid JSON."),
    "validation_failed": (400, "Some fields are missing or wrong; see errors."),
    "bad_request": (400, "The request cannot be understood."),
    "code_invalid": (400, "This code confirms nothing."),
    "code_expired": (400, "This code is out of date."),
    "invalid_token": (401, "Send a valid session token as: Authorization: Bearer <token>."),
    "invalid_signature": (401, "This is no fresh delivery receipt, signed for us."),
    "forbidden": (403, "This is not allowed."),
    "not_found": (404, "There is nothing here."),
    "method_not_allowed": (405, "This resource does not answer to that method."),
    "request_timeout": (408, "The request was not complete in time."),
    "idempotency_in_progress": (409, "A request with this Idempotency-Key is being worked on."),
    "idempotency_closed": (409, "This Idempotency-Key cannot be answered again; sign in instead."),
    "precondition_failed": (412, "The profile is not the one that If-Match names."),
    "body_too_large": (413, "The body has more than 65536 octets."),
    "unsupported_media_type": (415, "Send the body as application/json."),
    "idempotency_mismatch": (422, "This Idempotency-Key was used with another body."),
    "rate_limited": (429, "This happens too often; wait."),
    "too_many_attempts": (429, "Too many tries; wait, or ask for a new code."),
    "internal_error": (500, "Something is wrong on our side; it has been logged."),
    "unavailable": (503, "A part of the service is away for the moment; try again soon."),
}
_numbers = itertools.count()
_CLEAN_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")


class Problem(NamedTuple):
    """A problem document, ready to be sent: names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def problem(
    code: str,
    request_id: str,
    headers: Mapping[str, str] | None = None,
    errors: list[dict[str, str]] | None = None,
) -> Problem:
    """The document for a code word of `STATUS`; `errors` lists every wrong field.

    A 401 says how to do better (RFC 9110 section 11.6.1). Raises KeyError for an unknown word.
    """
    status, detail = STATUS[code]
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
    if errors is not None:
        document["errors"] = errors
    always = {"content-type": "application/problem+json", "cache-control": "no-store"}
    if status == HTTPStatus.UNAUTHORIZED:
        always["www-authenticate"] = "Bearer"
    return Problem(status, {**always, **(headers or {})}, orjson.dumps(document))


def problem_of(error: RollcallError, request_id: str) -> Problem:
    """The document for one of our own errors."""
    retry_after = getattr(error, "retry_after", None)
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    return problem(error.code if error.code in STATUS else "internal_error", request_id, headers)


def request_id_of(given: str) -> str:
    """The caller's own `X-Request-ID` if it is clean enough for a log, else a new one."""
    if given and _CLEAN_ID.fullmatch(given):
        return given
    return f"{_process()}{next(_numbers):010x}"


@cache
def _process() -> str:
    """What the ids of this process have in common; drawn when it first needs one."""
    return secrets.token_hex(11)
