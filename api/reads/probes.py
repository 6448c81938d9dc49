"""Liveness and readiness of the read process, from its own state: no I/O, no other process."""

import orjson

from api.http_server.response_encoding import encode_headers
from api.reads.redis.cluster import AnyRedis
from api.reads.responses import Response

LIVENESS = frozenset({b"/livez", b"/livez/"})
READINESS = frozenset({b"/readyz?capability=read", b"/readyz/?capability=read"})
TARGETS = LIVENESS | READINESS


def liveness(request_id: str) -> Response:
    """Returns 200: the event loop runs."""
    return _response(200, {"status": "ok"}, request_id)


def readiness(redis: AnyRedis, request_id: str, *, shutting_down: bool) -> Response:
    """Returns 200 if profiles can be read here, else 503; `read` in the body says why not.

    unavailable: no connection to Redis; stale: its data may be older than what was read before;
    misconfigured: it may evict profiles, or denies this user a command; shutting_down: load
    balancers are to use other processes.
    """
    read = "shutting_down" if shutting_down else redis.status
    status = 200 if read == "ok" else 503
    document = {"status": "ok" if read == "ok" else "unavailable", "read": read}
    return _response(status, document, request_id)


def _response(status: int, document: dict[str, str], request_id: str) -> Response:
    headers = [("content-type", "application/json"), ("cache-control", "no-store")]
    headers.append(("x-request-id", request_id))
    if status == 503:
        headers.append(("retry-after", "1"))
    return status, encode_headers(headers), orjson.dumps(document)
