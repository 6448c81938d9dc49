"""A small Redis for tests with scripted replies."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import hiredis

type Command = list[bytes]
# Returns the bytes to write for a command; None: no reply.
type Handler = Callable[[Command], Awaitable[bytes | None]]


class CloseConnection(Exception):
    """Raised by a handler: writes these last bytes, and closes the connection."""

    def __init__(self, last_bytes: bytes = b"") -> None:
        self.last_bytes = last_bytes


# Replies to the commands of the handshake: there are no older data.
_HANDSHAKE_REPLIES = {(b"PING",): b"+PONG\r\n", (b"INFO", b"server"): b"$0\r\n\r\n"}
_HANDSHAKE_REPLIES[b"HGET", b"profile:fence", b"run_id"] = b"$-1\r\n"
_HANDSHAKE_REPLIES[b"HGET", b"profile:fence", b"replid"] = b"$-1\r\n"
_HANDSHAKE_REPLIES[b"HGET", b"profile:fence", b"generation"] = b"$-1\r\n"
_HANDSHAKE_REPLIES[b"INFO", b"replication"] = b"$11\r\nrole:master\r\n"
_HANDSHAKE_REPLIES[b"INFO", b"memory"] = b"$27\r\nmaxmemory_policy:noeviction\r\n"
# Replies to the commands of client tracking.
_TRACKING_REPLIES = {b"HELLO": b"%1\r\n$5\r\nproto\r\n:3\r\n", b"CLIENT": b"+OK\r\n"}


class FakeRedis:
    """Replies to the handshake, and to every other command with what `handler` returns.

    CLIENT TRACKING is an error unless it `supports_tracking`.
    """

    def __init__(self, handler: Handler, *, supports_tracking: bool = False) -> None:
        self.handler = handler
        self.supports_tracking = supports_tracking
        self.connections = 0
        self.chunks: list[list[Command]] = []  # the commands of each read from the socket
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def commands(self) -> list[Command]:
        """All commands but those of the handshake and of tracking."""
        commands = [command for chunk in self.chunks for command in chunk]
        return [
            c
            for c in commands
            if tuple(c) not in _HANDSHAKE_REPLIES and c[0] not in _TRACKING_REPLIES
        ]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        parser = hiredis.Reader()
        try:
            while data := await reader.read(1_000_000):
                parser.feed(data)
                chunk = list(iter(parser.gets, False))
                self.chunks.append(chunk)
                for command in chunk:
                    writer.write(await self.reply(command) or b"")
        except CloseConnection as end:
            writer.write(end.last_bytes)
        except OSError:
            pass  # the client has closed it
        finally:
            writer.close()

    async def reply(self, command: Command) -> bytes | None:
        if handshake_reply := _HANDSHAKE_REPLIES.get(tuple(command)):
            return handshake_reply
        if command[0] in _TRACKING_REPLIES:
            return (
                _TRACKING_REPLIES[command[0]]
                if self.supports_tracking
                else b"-ERR unknown command\r\n"
            )
        return await self.handler(command)

    @asynccontextmanager
    async def listening(self, tls: ssl.SSLContext | None = None) -> AsyncIterator["FakeRedis"]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", self.port, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in self._writers:
                writer.close()
            await server.wait_closed()


async def echo(command: Command) -> bytes:
    """Replies with the last argument."""
    return b"$%d\r\n%b\r\n" % (len(command[-1]), command[-1])


async def never_reply(command: Command) -> None:
    """Never replies."""


def always_reply(reply: bytes) -> Any:
    """Returns a handler that replies alike to every command."""

    async def reply_with(command: Command) -> bytes:
        return reply

    return reply_with
