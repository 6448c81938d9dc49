"""Awaits replies of Redis; apart from what is compiled (see `deploy/native.py`)."""

import asyncio
from asyncio import Future
from collections.abc import Iterable, Sequence
from typing import Any

import hiredis

from api.reads.redis.connection import MultiplexedConnection


async def gather_replies(futures: Iterable[Future[Any]]) -> list[Any]:
    """Returns all replies, errors of Redis among them. Raises `RedisUnavailable`."""
    replies = await asyncio.gather(*futures, return_exceptions=True)
    for reply in replies:
        if isinstance(reply, BaseException) and not isinstance(reply, hiredis.ReplyError):
            raise reply
    return replies


async def handshake(
    connection: MultiplexedConnection, commands: Sequence[tuple[str, ...]]
) -> list[Any]:
    """Sends the first commands on a connection; returns their replies, errors among them.

    Raises `RedisUnavailable`.
    """
    return await gather_replies(connection.send_handshake(commands))
