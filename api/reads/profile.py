"""GET and HEAD of the profile, from Redis and nothing else.

Nearly all reads need no coroutine and no task: the reply of Redis calls what makes the response,
and that calls what sends it.
"""

from binascii import hexlify
from functools import partial
from hashlib import sha256
from time import perf_counter, time
from typing import Any, Final

import hiredis
import structlog

from api.bearer import find_session_token
from api.http_server.request import Request
from api.observability.loop_metrics import add_to_row, loop_metrics
from api.reads.cache_miss import MissCoalescer
from api.reads.redis.cluster import AnyRedis
from api.reads.redis.connection import RedisUnavailable, is_redirect
from api.reads.responses import (
    Headers,
    Response,
    error_response,
    get_request_id,
    problem_response,
    profile_response,
)
from domain import profile
from domain.metrics.registry import HTTP_REQUEST_DURATION
from domain.model.errors import InvalidToken, ServiceUnavailable
from domain.model.keyring import Keyring
from domain.model.session_token import TokenClaims, verify_encoded_token
from domain.profile import CacheMiss

log = structlog.get_logger(__name__)

_HMGET_START: Final = b"*6\r\n$5\r\nHMGET\r\n$34\r\np:"
_HMGET_FIELDS: Final = b"\r\n$1\r\nb\r\n$1\r\ne\r\n$1\r\nv\r\n$32\r\n"


class ProfileReader:
    """Reads profiles through `redis`; for a missing one `misses` wait."""

    def __init__(self, redis: AnyRedis, keys: Keyring, misses: MissCoalescer) -> None:
        self.route = "/api/v1/profile"  # for the metrics
        self._redis = redis
        self._keys = keys
        self._misses = misses
        self._durations: dict[tuple[str, str, int], list[float]] = {}  # rows of the metrics

    def handle(self, request: Request, common_headers: bytes, text: str | None = None) -> None:
        """Responds to a read of the caller's own profile, now or later; `common_headers` end the
        header block of the response. `text`: a token in place of the caller's. Raises nothing.
        """
        cache = self._redis.cache
        try:
            encoded = request.token if text is None else text.encode(errors="replace")
            if text is None and request.head is None:
                encoded = _find_token(request.fields)
            digest: bytes = sha256(encoded).digest()
            entry = cache.find(digest) if cache is not None else None
            if entry is None:
                token = verify_encoded_token(self._keys, encoded, digest)
                self._send(request, common_headers, token)
                return
            decoded = entry.decode(time())
            response = self._render(request.fields, entry.token, decoded)
        except Exception as error:  # noqa: BLE001  # each gets a response; ours alone are not logged
            response = self._to_response(request.fields, error)
            self._respond(request, common_headers, response, "none")
        else:
            self._respond(request, common_headers, response, "client_cache")

    def _send(self, request: Request, common_headers: bytes, token: TokenClaims) -> None:
        """Asks Redis, and responds later. Raises `RedisUnavailable`."""
        server = self._redis.for_person(token.person_id_bytes)
        on_reply = partial(self._on_reply, request, common_headers, token, "redis")
        cache = server.cache
        if cache is not None and cache.admits(token.digest):
            server.fetch(token, encode_hmget(token), on_reply)
        else:
            server.send_command(encode_hmget(token), on_reply)

    def _on_reply(
        self,
        request: Request,
        common_headers: bytes,
        token: TokenClaims,
        source: str,
        reply: Any,
    ) -> None:
        """Responds with Redis' reply, or waits for the backfill of a missing profile.

        `source`, for the metrics: redis, or backfill for a reply after that. A redirect of Redis
        Cluster is followed.
        """
        try:
            decoded = profile.decode_reply(token, parse_reply(reply), time())
            response = self._render(request.fields, token, decoded)
        except Exception as error:  # noqa: BLE001  # as in `handle`
            is_miss = isinstance(error, CacheMiss)
            if (is_miss and source != "backfill") or is_redirect(error):
                source = "backfill" if is_miss else source
                self._retry(request, common_headers, token, source)
                return
            response = self._to_response(request.fields, error)
        self._respond(request, common_headers, response, source)

    def _render(
        self, fields: Headers, token: TokenClaims, decoded: tuple[bytes, bytes, int]
    ) -> Response:
        return profile_response(fields, decoded[0], decoded[1])

    def _retry(
        self, request: Request, common_headers: bytes, token: TokenClaims, source: str
    ) -> None:
        """Waits for the backfill of a missing profile, then reads once more; 503 after the timeout.
        Follows a redirect of Redis Cluster.
        """
        on_reply = partial(self._on_reply, request, common_headers, token, source)
        command = encode_hmget(token)
        self._misses.read_again(token, command, on_reply, is_miss=source == "backfill")

    def _to_response(self, headers: Headers, error: Exception) -> Response:
        if isinstance(error, hiredis.ReplyError):
            self._redis.on_command_error(error)
        if isinstance(error, InvalidToken):
            return error_response(headers, error)
        if isinstance(error, RedisUnavailable | CacheMiss | hiredis.ReplyError):
            return error_response(headers, ServiceUnavailable())
        request_id = get_request_id(headers)
        log.error("profile_read_failed", request_id=request_id, exc_info=error)
        return problem_response({"x-request-id": request_id}, "internal_error")

    def _respond(
        self, request: Request, common_headers: bytes, response: Response, source: str
    ) -> None:
        status, headers, body = response
        request.respond(status, headers + common_headers, body)
        seconds = perf_counter() - request.received_at
        key = source, request.method, status
        row = self._durations.get(key)
        if row is None:
            labels = request.method, self.route, status, source
            row = self._durations[key] = loop_metrics.row(HTTP_REQUEST_DURATION, *labels)
        add_to_row(row, seconds)


def _find_token(fields: Headers) -> bytes:
    """Returns the token of a request, encoded. Raises `InvalidToken`."""
    token = find_session_token(fields.get("authorization"), fields.get("cookie", ""))
    return token.encode(errors="replace")


def encode_hmget(token: TokenClaims) -> bytes:
    """Returns HMGET of `profile.redis_key_for_token` and `profile.hmget_fields` in RESP;
    `encode_command` costs three times as much.
    """
    person_id = hexlify(token.person_id_bytes)
    return b"".join((_HMGET_START, person_id, _HMGET_FIELDS, token.digest, b"\r\n"))


def parse_reply(reply: Any) -> list[bytes | None]:
    """Returns the fields in a reply. Raises the error in its place, and `RedisUnavailable`."""
    if isinstance(reply, Exception):
        raise reply
    if type(reply) is not list or len(reply) != profile.FIELD_COUNT:
        raise RedisUnavailable  # not a reply to HMGET
    return reply
