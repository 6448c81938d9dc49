"""Requests for tests of the read process, without a server."""

import asyncio
from typing import Any, NamedTuple

from api.http_server.request import Request
from api.reads.redis.cluster import make_redis
from domain.model.keyring import Keyring
from domain.redis_url import parse_url


class Response(NamedTuple):
    """A response with its headers by name."""

    status: int
    headers: dict[str, str]
    body: bytes


class RecordingConnection:
    """The connection of one request; `response` is a future of the response that is sent on it."""

    client = "127.0.0.1"

    def __init__(self) -> None:
        self.response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def respond(self, request: Request, status: int, headers: bytes, body: bytes) -> None:
        pairs = (line.split(": ", 1) for line in headers.decode().splitlines())
        self.response.set_result(Response(status, dict(pairs), body))


class Reader:
    """A profile reader with its own Redis client, as in a read process."""

    def __init__(
        self, url: str, keys: Keyring, *, miss_timeout: float = 0.25, **options: Any
    ) -> None:
        # Not earlier: they read the settings, which are those of the environment by then.
        from api.reads.cache_miss import MissCoalescer
        from api.reads.profile import ProfileReader

        defaults = {"max_staleness": 0.02, "check_interval": 60.0}
        self.redis: Any = make_redis(parse_url(url), **defaults | options)
        self._reader = ProfileReader(self.redis, keys, MissCoalescer(self.redis, miss_timeout))

    def start(self) -> None:
        self.redis.start()

    async def close(self) -> None:
        await self.redis.close()

    async def read(self, token: str, method: str = "GET") -> Response:
        """Returns the response to a read with this token."""
        connection = RecordingConnection()
        headers = {"authorization": f"Bearer {token}"} if token else {}
        request = Request(method, b"/api/v1/profile/", headers)
        request.connection = connection
        self._reader.handle(request, b"")
        return await connection.response
