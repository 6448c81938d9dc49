"""What the answers of the Python peers have in common; names of headers are in lower case."""

from typing import NamedTuple

from api.problem_documents import problem, request_id_of

# What Django's middleware says with every answer of Rollcall's.
MANNERS = {
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class Refusal(NamedTuple):
    """401, and why."""

    status: int
    headers: dict[str, str]
    body: bytes


def headers(etag: str, request_id: str) -> dict[str, str]:
    """Those of a 200 or 304; `request_id` is what the client sent, or empty."""
    return {
        "etag": etag,
        "cache-control": "private, no-cache",
        "vary": "Authorization",
        "x-request-id": request_id_of(request_id),
    }


def refusal(request_id: str) -> Refusal:
    """The answer to whoever has no right token."""
    own = request_id_of(request_id)
    document = problem("invalid_token", own)
    more = {"vary": "Authorization", "x-request-id": own}
    return Refusal(document.status, {**document.headers, **more}, document.body)


def matches(if_none_match: str, etag: str) -> bool:
    """RFC 9110 section 13.1.2: a list of tags compared weakly, or `*`; empty matches nothing."""
    if if_none_match.strip() == "*":
        return True
    return any(tag.strip().removeprefix("W/") == etag for tag in if_none_match.split(","))
