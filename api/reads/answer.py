"""What a read of a profile is answered with: from request and Redis' reply to status and octets.

Pure: no clock, no I/O. Names of headers are in lower case.
"""

from collections.abc import Sequence
from typing import NamedTuple

from api.problem_documents import Problem, problem, problem_of
from domain import profile
from domain.errors import RollcallError
from domain.session import Token

type Headers = list[tuple[str, str]]

METHODS = ("GET", "HEAD")
_CACHING = ("cache-control", "private, no-cache"), ("vary", "Authorization")
_JSON = ("content-type", "application/json")


class Request(NamedTuple):
    """What the answer depends on; a header that was sent twice is joined by a comma."""

    method: str
    authorization: str
    if_none_match: str
    request_id: str


class Answer(NamedTuple):
    """A whole answer. The server sends the body only where the protocol has one: not for HEAD
    and 304, which only tell its length (RFC 9110 section 8.6).
    """

    status: int
    headers: Headers
    body: bytes


def answer(request: Request, token: Token, reply: Sequence[bytes | None], now: float) -> Answer:
    """200 or 304, made of the reply to HMGET at Unix time `now`.

    Raises `Missing` and `InvalidToken` as `domain.profile.answer` does.
    """
    found = profile.answer(token, reply, now)
    body, tag = found.body, found.etag.decode()
    headers = [
        ("etag", tag),
        *_CACHING,
        ("x-request-id", request.request_id),
    ]
    if request.if_none_match and _matches(request.if_none_match, tag):
        return Answer(304, [*headers, ("content-length", str(len(body)))], body)
    return Answer(200, [_JSON, *headers], body)


def refusal(request: Request, error: RollcallError) -> Answer:
    """401 or 503 for one of our own errors; whether it is one depends on who asks."""
    return _problem(request, problem_of(error, request.request_id), ("vary", "Authorization"))


def wrong_method(request: Request, allowed: str) -> Answer:
    """405, which names the methods that there are."""
    return _problem(request, problem("method_not_allowed", request.request_id, {"allow": allowed}))


def internal_error(request: Request) -> Answer:
    """500."""
    return _problem(request, problem("internal_error", request.request_id))


def _problem(request: Request, document: Problem, *more: tuple[str, str]) -> Answer:
    headers = [
        *document.headers.items(),
        *more,
        ("x-request-id", request.request_id),
    ]
    return Answer(document.status, headers, document.body)


def _matches(if_none_match: str, etag: str) -> bool:
    """RFC 9110 section 13.1.2: a list of tags compared weakly, or `*`."""
    if if_none_match.strip() == "*":
        return True
    return any(tag.strip().removeprefix("W/") == etag for tag in if_none_match.split(","))
