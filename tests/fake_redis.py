"""A small Redis for tests, that misbehaves as it is told."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import hiredis

type Command = list[bytes]
# What to write for a command: nothing is written for None.
type Behaviour = Callable[[Command], Awaitable[bytes | None]]


class HangUp(Exception):
    """Raised by a behaviour: write these last octets, and close the connection."""

    def __init__(self, last: bytes = b"") -> None:
        self.last = last


class FakeRedis:
    """Says PONG to PING, and what `behaviour` returns to everything else."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.connections = 0
        self.chunks: list[list[Command]] = []  # the commands of each read from the socket
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def commands(self) -> list[Command]:
        """All commands but the greeting."""
        return [command for chunk in self.chunks for command in chunk if command != [b"PING"]]

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
        except HangUp as end:
            writer.write(end.last)
        except OSError:
            pass  # the client went first
        finally:
            writer.close()

    async def reply(self, command: Command) -> bytes | None:
        return b"+PONG\r\n" if command == [b"PING"] else await self.behaviour(command)

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
    """The last word of the command."""
    return b"$%d\r\n%b\r\n" % (len(command[-1]), command[-1])


async def silence(command: Command) -> None:
    """Nothing, ever."""


def saying(reply: bytes) -> Any:
    """The same to everything."""

    async def say(command: Command) -> bytes:
        return reply

    return say
