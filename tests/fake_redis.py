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


# What is said first on every connection: these servers have no older data.
_GREETINGS = {(b"PING",): b"+PONG\r\n", (b"INFO", b"server"): b"$0\r\n\r\n"}
_GREETINGS[b"HGET", b"profile:fence", b"run_id"] = b"$-1\r\n"
_GREETINGS[b"INFO", b"replication"] = b"$11\r\nrole:master\r\n"
_GREETINGS[b"INFO", b"memory"] = b"$27\r\nmaxmemory_policy:noeviction\r\n"
# Commands that ask to be told of changes, and what they are answered with by who knows how.
_TRACKING = {b"HELLO": b"%1\r\n$5\r\nproto\r\n:3\r\n", b"CLIENT": b"+OK\r\n"}


class FakeRedis:
    """Greets back whoever connects, and says what `behaviour` returns to everything else.

    It says OK to whoever wants to be told of changes if it `tells`, and leaves that to `behaviour`.
    """

    def __init__(self, behaviour: Behaviour, *, tells: bool = False) -> None:
        self.behaviour = behaviour
        self.tells = tells
        self.connections = 0
        self.chunks: list[list[Command]] = []  # the commands of each read from the socket
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def commands(self) -> list[Command]:
        """All commands but those that keep a connection."""
        said = [command for chunk in self.chunks for command in chunk]
        return [c for c in said if tuple(c) not in _GREETINGS and c[0] not in _TRACKING]

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
        if greeting := _GREETINGS.get(tuple(command)):
            return greeting
        if command[0] in _TRACKING:
            return _TRACKING[command[0]] if self.tells else b"-ERR unknown command\r\n"
        return await self.behaviour(command)

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
