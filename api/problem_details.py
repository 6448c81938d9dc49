"""Builds RFC 9457 problem details and request ids, as plain values; shared by both processes."""

import itertools
import re
import secrets
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson

from api.translations import translate
from domain.model.errors import InvalidField, RollcallError

# Status and `detail` by code. Both are translated, as are the messages of invalid fields; codes and
# names of fields never are.
PROBLEMS: dict[str, tuple[int, str]] = {
    "malformed_json": (400, "The body is not valid JSON."),
    "validation_failed": (400, "Some fields are missing or wrong; see errors."),
    "bad_request": (400, "The request cannot be understood."),
    "code_invalid": (400, "The code is not valid."),
    "code_expired": (400, "The code has expired."),
    "invalid_token": (401, "Send a valid session token as: Authorization: Bearer <token>."),
    "invalid_signature": (401, "The signature is missing, invalid or expired."),
    "forbidden": (403, "Permission denied."),
    "origin_not_allowed": (403, "With a session cookie, changes need an Origin that is allowed."),
    "not_found": (404, "Not found."),
    "method_not_allowed": (405, "The method is not allowed for this resource; see Allow."),
    "request_timeout": (408, "The request was not complete in time."),
    "idempotency_in_progress": (409, "A request with this Idempotency-Key is in progress."),
    "idempotency_closed": (409, "This Idempotency-Key can no longer be replayed; sign in instead."),
    "precondition_failed": (412, "If-Match or If-None-Match does not hold for the current ETag."),
    "body_too_large": (413, "The body is too large."),
    "unsupported_media_type": (415, "Send the body as application/json."),
    "idempotency_mismatch": (422, "This Idempotency-Key was used with another body."),
    "rate_limited": (429, "Too many requests; see Retry-After."),
    "too_many_attempts": (429, "Too many attempts; request a new code."),
    "internal_error": (500, "Internal server error."),
    "unavailable": (503, "A dependency is unavailable; retry later."),
}
_counter = itertools.count()
_LAST_DIGITS = [f"{number:02x}" for number in reversed(range(256))]
_new_ids: list[str] = []
_VALID_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")


class ProblemDetails(NamedTuple):
    """A response with a problem document; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def build_problem(
    code: str,
    request_id: str,
    headers: Mapping[str, str] | None = None,
    errors: Mapping[str, InvalidField] | None = None,
    *,
    language: str = "en",
) -> ProblemDetails:
    """Returns the document for a code of `PROBLEMS` in a language; `errors` has every wrong field.

    A 401 has `WWW-Authenticate` (RFC 9110 section 11.6.1). Raises `KeyError` for an unknown code.
    """
    status, detail = PROBLEMS[code]
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": translate(HTTPStatus(status).phrase, language),
        "status": status,
        "detail": translate(detail, language),
        "code": code,
        "request_id": request_id,
    }
    if errors is not None:
        document["errors"] = [_describe_field(*each, language) for each in errors.items()]
    all_headers = {**_common_headers(status, language), **(headers or {})}
    return ProblemDetails(status, all_headers, orjson.dumps(document))


def _common_headers(status: int, language: str) -> dict[str, str]:
    headers = {
        "content-type": "application/problem+json",
        "cache-control": "no-store",
        "content-language": language,
        "vary": "Accept-Language",
    }
    if status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    return headers


def _describe_field(field: str, invalid: InvalidField, language: str) -> dict[str, str]:
    message = translate(invalid.template, language).format(**invalid.params)
    return {"field": field, "code": invalid.code, "message": message}


def problem_from_error(
    error: RollcallError, request_id: str, language: str = "en"
) -> ProblemDetails:
    """Returns the document for one of our own errors, in a language."""
    retry_after = getattr(error, "retry_after", None)
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    code = error.code if error.code in PROBLEMS else "internal_error"
    errors = getattr(error, "errors", None)
    return build_problem(code, request_id, headers, errors, language=language)


def resolve_request_id(client_id: str) -> str:
    """Returns the client's `X-Request-ID` if it is safe to log, else a new one."""
    if client_id and _VALID_ID.fullmatch(client_id):
        return client_id
    while True:
        try:
            return _new_ids.pop()
        except IndexError:  # 256 at once: to format each costs several times as much
            start = f"{_process_prefix()}{next(_counter):08x}"
            _new_ids.extend([start + digits for digits in _LAST_DIGITS])


@cache
def _process_prefix() -> str:
    """Returns the prefix of all ids of this process, drawn at the first call."""
    return secrets.token_hex(11)
