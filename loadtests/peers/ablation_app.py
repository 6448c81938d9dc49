"""Rollcall's read process without one of its mechanisms: the one that ABLATION names.

For `make bench ARGS=ablation` alone: it replaces parts of the product at import.
"""

import asyncio
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import orjson

from api.http_server.head_cache import HeadCache
from api.reads import profile as reads_profile
from api.reads import request_policy, responses
from api.reads.app import Application
from api.reads.redis.client import RedisClient
from api.reads.redis.connection import MultiplexedConnection
from api.reads.redis.replies import handshake
from domain import profile
from settings import environment

__all__ = ["Application"]

_POOL_SIZE = 64


def _parse_every_request() -> None:
    def find(self: HeadCache, data: bytes) -> None:
        return None

    HeadCache.find = find  # type: ignore[method-assign]  # the point of it


def _build_every_header_block() -> None:
    uncached: Any = request_policy._make_policy.__wrapped__  # noqa: SLF001  # of our own product
    request_policy._make_policy = uncached  # noqa: SLF001  # see above


def _serialize_every_body() -> None:
    profile_response = responses.profile_response

    def serialize(headers: responses.Headers, body: bytes, etag: bytes) -> responses.Response:
        body = orjson.dumps(orjson.loads(body))
        etag = profile.strong_etag(body)
        return profile_response(headers, body, etag)

    reads_profile.profile_response = serialize  # type: ignore[attr-defined]  # the point of it


def _use_a_connection_pool() -> None:
    """Each command has a connection to itself until its reply, as with redigo or redis-py."""
    idle: list[MultiplexedConnection] = []
    opened: list[Any] = []

    async def open_connection(client: RedisClient) -> None:
        address = await client._locator.find_primary()  # noqa: SLF001  # of our own product
        connection = MultiplexedConnection(1.0, 10, lambda: None)
        await address.connect(lambda: connection)
        await handshake(connection, client._handshake)  # noqa: SLF001  # the same
        connection.mark_ready()
        idle.append(connection)

    def send_command(self: RedisClient, command: bytes, on_reply: Callable[[Any], None]) -> None:
        if not idle:
            if len(opened) < _POOL_SIZE:
                opened.append(connection_task(self))
            send_over_shared_connection(self, command, on_reply)
            return
        connection = idle.pop()
        connection.send_command(command, partial(release, connection, on_reply))

    def release(
        connection: MultiplexedConnection, on_reply: Callable[[Any], None], reply: Any
    ) -> None:
        idle.append(connection)
        on_reply(reply)

    def connection_task(client: RedisClient) -> Any:
        return asyncio.get_running_loop().create_task(open_connection(client))

    send_over_shared_connection = RedisClient.send_command
    RedisClient.send_command = send_command  # type: ignore[method-assign]  # the point of it


def _read_redis_every_time() -> None:
    environment.CLIENT_CACHE_MAX_STALENESS = 0.0


ABLATIONS: dict[str, Callable[[], None]] = {
    "head-cache": _parse_every_request,
    "header-blocks": _build_every_header_block,
    "stored-bytes": _serialize_every_body,
    "multiplexing": _use_a_connection_pool,
    "client-cache": _read_redis_every_time,
}
ABLATIONS[os.environ["ABLATION"]]()
