"""GET and HEAD of the profile, from Redis and nothing else.

Nearly all reads need no coroutine and no task: the reply of Redis calls what makes the response,
and that calls what sends it.
"""

from asyncio import AbstractEventLoop, Task
from functools import partial
from time import perf_counter, time
from typing import Any

import hiredis
import structlog

from api.bearer import bearer_token
from api.http_server.request import Request
from api.observability.loop_metrics import loop_metrics
from api.observability.registry import HTTP_REQUEST_DURATION
from api.problem_details import resolve_request_id
from api.reads.cache_miss import MissCoalescer
from api.reads.redis.client import RedisClient, error_code
from api.reads.redis.connection import RedisUnavailable
from api.reads.responses import (
    Headers,
    Response,
    error_response,
    problem_response,
    profile_response,
)
from domain import profile
from domain.model import session_token
from domain.model.errors import InvalidToken, ServiceUnavailable
from domain.model.keyring import Keyring
from domain.model.session_token import TokenClaims
from domain.profile import CacheMiss

log = structlog.get_logger(__name__)

_HMGET = b"*6\r\n$5\r\nHMGET\r\n$34\r\np:%b\r\n$1\r\nb\r\n$1\r\ne\r\n$1\r\nv\r\n$32\r\n%b\r\n"


class ProfileReader:
    """Reads profiles through `redis`; a missing one is waited for `miss_timeout` seconds."""

    def __init__(self, redis: RedisClient, keys: Keyring, miss_timeout: float) -> None:
        self._redis = redis
        self._keys = keys
        self._misses = MissCoalescer(redis, miss_timeout)
        self._tasks: set[Task[None]] = set()
        self._loop: AbstractEventLoop
        self._last_error_code = ""

    def start(self, loop: AbstractEventLoop) -> None:
        """Called before the first request."""
        self._loop = loop

    def handle(self, request: Request, common_headers: bytes) -> None:
        """Responds to a read of the caller's own profile, now or later; `common_headers` end the
        header block of the response. Raises nothing.
        """
        try:
            response = self._try_cache_or_send(request, common_headers)
        except Exception as error:  # noqa: BLE001  # each gets a response; ours alone are not logged
            response = self._to_error_response(request.headers, error)
        if response is not None:
            _respond(request, common_headers, response)

    def _try_cache_or_send(self, request: Request, common_headers: bytes) -> Response | None:
        """Returns the response, if it can be given without Redis; else sends the command."""
        headers = request.headers
        text = bearer_token(headers.get("authorization", ""))
        digest = session_token.token_digest(text)
        cache = self._redis.cache
        if cache is not None and (entry := cache.find(digest)) is not None:
            return profile_response(headers, entry.token, entry.reply, time())
        token = session_token.verify_token(self._keys, text, digest)
        on_reply = partial(self._on_reply, request, common_headers, token)
        if cache is not None and cache.admits(digest):
            cache.fetch(token, encode_hmget(token), on_reply)
        else:
            self._redis.send_command(encode_hmget(token), on_reply)
        return None

    def _on_reply(
        self, request: Request, common_headers: bytes, token: TokenClaims, reply: Any
    ) -> None:
        """Responds with Redis' reply, or waits for the backfill of a missing profile."""
        try:
            response = profile_response(request.headers, token, parse_reply(reply), time())
        except CacheMiss:
            task = self._loop.create_task(
                self._retry_after_backfill(request, common_headers, token)
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        except Exception as error:  # noqa: BLE001  # as in `handle`
            response = self._to_error_response(request.headers, error)
        _respond(request, common_headers, response)

    async def _retry_after_backfill(
        self, request: Request, common_headers: bytes, token: TokenClaims
    ) -> None:
        """Waits for the backfill, then reads once more; 503 after the timeout."""
        try:
            await self._misses.wait(token)
            key, fields = profile.redis_key_for_token(token), profile.hmget_fields(token)
            reply = await self._redis.execute_command("HMGET", key, *fields)
            response = profile_response(request.headers, token, parse_reply(reply), time())
        except Exception as error:  # noqa: BLE001  # as in `handle`
            response = self._to_error_response(request.headers, error)
        _respond(request, common_headers, response)

    def _to_error_response(self, headers: Headers, error: Exception) -> Response:
        match error:
            case InvalidToken() | ServiceUnavailable():
                return error_response(headers, error)
            case RedisUnavailable() | CacheMiss():
                return error_response(headers, ServiceUnavailable())
            case hiredis.ReplyError():
                self._redis.on_command_error(error)
                self._log_once(error_code(error))
                return error_response(headers, ServiceUnavailable())
        request_id = resolve_request_id(headers.get("x-request-id", ""))
        log.error("profile_read_failed", request_id=request_id, exc_info=error)
        return problem_response({"x-request-id": request_id}, "internal_error")

    def _log_once(self, code: str) -> None:
        """Logs an error of Redis when it is another one than the last: each read meets it."""
        if code != self._last_error_code:
            self._last_error_code = code
            log.warning("redis_command_failed", error_type=code)


def encode_hmget(token: TokenClaims) -> bytes:
    """Returns HMGET of `profile.redis_key_for_token` and `profile.hmget_fields` in RESP;
    `encode_command` costs three times as much.
    """
    return _HMGET % (token.person_id_bytes.hex().encode(), token.digest)


def parse_reply(reply: Any) -> list[bytes | None]:
    """Returns the fields in a reply. Raises the error in its place, and `RedisUnavailable`."""
    if isinstance(reply, Exception):
        raise reply
    if type(reply) is not list or len(reply) != profile.FIELD_COUNT:
        raise RedisUnavailable  # not a reply to HMGET
    return reply


def _respond(request: Request, common_headers: bytes, response: Response) -> None:
    status, headers, body = response
    request.respond(status, headers + common_headers, body)
    seconds = perf_counter() - request.received_at
    loop_metrics.observe(HTTP_REQUEST_DURATION, seconds, request.method, "/api/v1/profile", status)
