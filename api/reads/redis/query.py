"""Asks a server a question on a connection of its own."""

import asyncio
from collections.abc import Sequence
from typing import Any

import hiredis

from api.reads.redis.connection import MultiplexedConnection, RedisUnavailable
from api.reads.redis.replies import handshake
from api.reads.socket_address import SocketAddress


async def query(
    address: SocketAddress, commands: Sequence[tuple[str, ...]], timeout: float
) -> list[Any] | None:
    """Returns the replies to these commands, the first of which authenticate; None if there is no
    reply within `timeout` seconds, or an error among them.
    """
    connection = MultiplexedConnection(timeout, 1, lambda: None)
    try:
        async with asyncio.timeout(timeout):  # its TimeoutError is an OSError
            await address.connect(lambda: connection)
            replies = await handshake(connection, commands)
    except (OSError, RedisUnavailable):
        return None
    finally:
        connection.close()
    return None if any(isinstance(each, hiredis.ReplyError) for each in replies) else replies
