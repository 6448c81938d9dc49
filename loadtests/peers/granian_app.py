"""Rollcall's reads on granian (RSGI), which shows what Rollcall's own HTTP server saves.

The Redis connection and the client-side cache are Rollcall's; only the HTTP server differs. A
missing profile is a 503 at once.
"""

import os
from asyncio import AbstractEventLoop
from functools import partial
from hashlib import sha256
from time import time
from typing import Any

from api.bearer import bearer_token
from api.problem_details import resolve_request_id
from api.reads.redis.client import RedisClient
from domain import profile
from domain.model import session_token
from domain.model.errors import InvalidToken, ServiceUnavailable
from domain.model.keyring import Keyring
from domain.redis_url import parse_url
from loadtests.peers import responses

_SECURITY = list(responses.SECURITY_HEADERS.items())
_HEADERS_304 = [
    ("cache-control", "private, no-cache"),
    ("vary", "Authorization, Cookie"),
    *_SECURITY,
]
_HEADERS_200 = [*_HEADERS_304, ("content-type", "application/json")]
_HMGET = b"*6\r\n$5\r\nHMGET\r\n$34\r\np:%b\r\n$1\r\nb\r\n$1\r\ne\r\n$1\r\nv\r\n$32\r\n%b\r\n"


class Application:
    """An RSGI application: the environment has REDIS_URL and SECRET_KEY."""

    def __rsgi_init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._keys = Keyring([os.environ["SECRET_KEY"]])
        self._redis = RedisClient(parse_url(os.environ["REDIS_URL"]), max_staleness=0.02)
        loop.call_soon(self._redis.start)

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        headers = scope.headers
        request_id = headers.get("x-request-id") or ""
        try:
            body, tag, _ = await self._read(headers.get("authorization") or "")
        except (InvalidToken, profile.CacheMiss) as error:
            known = error if isinstance(error, InvalidToken) else ServiceUnavailable()
            status, lines, content = responses.error_response(known, request_id)
            protocol.response_bytes(status, [*lines.items(), *_SECURITY], content)
            return
        etag = tag.decode()
        own = [("etag", etag), ("x-request-id", resolve_request_id(request_id))]
        tags = headers.get("if-none-match")
        if tags and responses.matches(tags, etag):
            protocol.response_empty(304, _HEADERS_304 + own)
        else:
            protocol.response_bytes(200, _HEADERS_200 + own, body)

    async def _read(self, authorization: str) -> tuple[bytes, bytes, int]:
        """Returns what `profile.decode_reply` does, from the client-side cache or Redis."""
        encoded = bearer_token(authorization).encode()
        digest = sha256(encoded).digest()
        cache = self._redis.cache
        if cache is not None and (entry := cache.find(digest)) is not None:
            return entry.decode(time())
        token = session_token.verify_encoded_token(self._keys, encoded, digest)
        command = _HMGET % (token.person_id_bytes.hex().encode(), token.digest)
        reply = self._loop.create_future()
        on_reply = partial(_resolve, reply)
        if cache is not None and cache.admits(digest):
            self._redis.fetch(token, command, on_reply)
        else:
            self._redis.send_command(command, on_reply)
        return profile.decode_reply(token, await reply, time())


def _resolve(future: Any, reply: Any) -> None:
    if future.done():
        return
    if isinstance(reply, Exception):
        future.set_exception(reply)
    else:
        future.set_result(reply)


app = Application()
