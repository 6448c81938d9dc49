"""The reader's connection to Redis, with the test at the other end."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

import hiredis

from api.reads.redis.connection import MultiplexedConnection, encode_command

TIMEOUT = 5.0  # seconds for a reply, and for whatever else must happen


class Pipe:
    """A connection that is ready for commands.

    `received` has each command with its reply or error, in order. `closed` counts the reports that
    the connection was lost.
    """

    def __init__(self, on_push: Callable[[Any], None] = lambda _: None) -> None:
        self.received: list[tuple[bytes, Any]] = []
        self.closed = 0
        self.connection = MultiplexedConnection(TIMEOUT, 1000, self._on_close)
        self.connection.on_push = on_push
        self._errors: list[dict[str, Any]] = []  # not caught
        self._parser = hiredis.Reader()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self._errors.append(context))
        own_socket, redis_socket = socket.socketpair()
        self._redis = redis_socket
        self._redis.setblocking(False)
        await loop.create_unix_connection(lambda: self.connection, sock=own_socket)
        self.connection.mark_ready()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._redis.close()
        await self.turn()
        self.close()
        await self.turn()

    # --- The one end -----------------------------------------------------------------------------

    def send(self, argument: bytes, callback: Callable[[Any], None] = lambda _: None) -> None:
        """Sends the command ECHO `argument`; records its reply, and calls `callback` with it.

        Raises `RedisUnavailable` once the connection is lost.
        """

        def on_reply(reply: Any) -> None:
            self.received.append((argument, reply))
            callback(reply)

        self.connection.send_command(encode_command(("ECHO", argument)), on_reply)

    def close(self) -> None:
        """Closes the connection from this end."""
        self.connection.close()

    def _on_close(self) -> None:
        self.closed += 1

    # --- The other end ---------------------------------------------------------------------------

    async def send_replies(self, data: bytes, *cuts: int) -> None:
        """Sends data in pieces that end at these positions, each received separately."""
        for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
            with suppress(OSError):  # it was closed
                self._redis.send(data[start:end])
            await self.turn()

    async def close_redis(self, *, reset: bool = False) -> None:
        """Closes the connection from Redis' end."""
        with suppress(OSError):
            self._redis.shutdown(socket.SHUT_RDWR if reset else socket.SHUT_WR)
        await self.turn()

    def commands(self) -> list[bytes]:
        """Returns the arguments of the commands received since the last call."""
        with suppress(BlockingIOError, ConnectionError):
            self._parser.feed(self._redis.recv(1_000_000))
        return [command[1] for command in iter(self._parser.gets, False)]

    @property
    def uncaught(self) -> list[dict[str, Any]]:
        """Errors that reached the event loop."""
        return self._errors

    async def turn(self) -> None:
        """Returns once the loop has processed what was sent."""
        for _ in range(4):
            await asyncio.sleep(0)
