"""What a read of a profile is answered with: from request and Redis' reply to status and octets.

Pure: no clock, no I/O. Of a request it is the headers that count, by their names in lower case; one
that was sent twice is joined by a comma.
"""

from collections.abc import Mapping, Sequence

from api.problem_documents import Problem, problem, problem_of, request_id_of
from api.server.headers import lines
from domain import profile
from domain.errors import RollcallError
from domain.session import Token

type Headers = Mapping[str, str]
# A whole answer: its status, the lines of its headers, its body. The server says how long the body
# is, and sends it only where the protocol has one: not for HEAD and 304.
type Answer = tuple[int, bytes, bytes]

METHODS = ("GET", "HEAD")
_CACHING = b"cache-control: private, no-cache\r\nvary: Authorization\r\n"
_FOUND = b"content-type: application/json\r\n" + _CACHING + b"etag: %b\r\nx-request-id: %b\r\n"
_KNOWN = _CACHING + b"etag: %b\r\nx-request-id: %b\r\n"


def answer(headers: Headers, token: Token, reply: Sequence[bytes | None], now: float) -> Answer:
    """200 or 304, made of the reply to HMGET at Unix time `now`.

    Raises `Missing` and `InvalidToken` as `domain.profile.answer` does.
    """
    body, etag = profile.answer(token, reply, now)
    request_id = _request_id(headers).encode()
    tags = headers.get("if-none-match")
    if tags and _matches(tags, etag.decode()):
        return 304, _KNOWN % (etag, request_id), body
    return 200, _FOUND % (etag, request_id), body


def refusal(headers: Headers, error: RollcallError) -> Answer:
    """401 or 503 for one of our own errors; whether it is one depends on who asks."""
    request_id = _request_id(headers)
    return _whole(problem_of(error, request_id), request_id, ("vary", "Authorization"))


def wrong_method(headers: Headers, allowed: str) -> Answer:
    """405, which names the methods that there are."""
    request_id = _request_id(headers)
    return _whole(problem("method_not_allowed", request_id, {"allow": allowed}), request_id)


def internal_error(request_id: str) -> Answer:
    """500, which names the request by which it was logged."""
    return _whole(problem("internal_error", request_id), request_id)


def _request_id(headers: Headers) -> str:
    return request_id_of(headers.get("x-request-id", ""))


def _whole(document: Problem, request_id: str, *more: tuple[str, str]) -> Answer:
    all_headers = [*document.headers.items(), *more, ("x-request-id", request_id)]
    return document.status, lines(all_headers), document.body


def _matches(if_none_match: str, etag: str) -> bool:
    """RFC 9110 section 13.1.2: a list of tags compared weakly, or `*`."""
    if if_none_match.strip() == "*":
        return True
    return any(tag.strip().removeprefix("W/") == etag for tag in if_none_match.split(","))
