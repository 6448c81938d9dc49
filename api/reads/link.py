"""One connection to Redis, from its making to its loss: commands out, replies back in order."""

import asyncio
import math
import time
from asyncio import Future
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, cast, override

import hiredis


def pack(words: tuple[str | bytes | int, ...]) -> bytes:
    """A command as it goes over the wire."""
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # its stub: one word
    return packed


class Unavailable(Exception):
    """No reply: Redis is away or silent, the connection broke, or too many wait already."""


class Link(asyncio.Protocol):
    """One connection, used by everybody at once.

    All commands of one turn of the event loop go out in one write, and the reply that comes first
    is that of the command that was sent first. So a reply that comes too late would be taken for
    the next one: when the oldest waiter is not answered within `patience` seconds, the connection
    is given up, with all who wait on it.

    Commands may be sent before the connection stands; they go out after `greet`. `lost` is called
    once, at its end; `pushed` with what Redis tells unasked (RESP3), in order with the replies.
    `answered` is when the last command that was answered had been sent, by `time.monotonic`; it
    is not the loop's clock, which stands still for a turn.
    """

    def __init__(self, patience: float, most: int, lost: Callable[[], None]) -> None:
        self.is_lost = False
        self.answered = -math.inf
        self.pushed: Callable[[list[Any]], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._patience = patience
        self._most = most
        self._on_lost = lost
        self._reader = hiredis.Reader(replyError=hiredis.ReplyError)
        self._transport: asyncio.Transport | None = None
        self._greeted = False
        self._greetings: deque[Future[Any]] = deque()
        self._out: list[bytes] = []
        self._waiters: deque[tuple[Future[Any], float]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def send(self, command: bytes) -> Future[Any]:
        """The reply to a packed command, in time.

        Awaiting it raises `Unavailable` when none came, and `hiredis.ReplyError` when Redis
        refused this one command. Raises `Unavailable` at once if too many wait.
        """
        if self.is_lost or len(self._waiters) >= self._most:
            raise Unavailable
        loop = self._loop
        reply: Future[Any] = loop.create_future()
        self._waiters.append((reply, time.monotonic()))
        if not self._out and self._greeted:
            loop.call_soon(self._flush)
        self._out.append(command)
        if self._timer is None:
            self._timer = loop.call_later(self._patience, self._look_at_the_time)
        return reply

    async def greet(self, commands: Iterable[tuple[str, ...]]) -> None:
        """Say who we are, in one write, and let the waiting commands out once that was accepted.

        Raises `Unavailable`, and `hiredis.ReplyError` when Redis refuses us or is still loading.
        """
        if self.is_lost or self._transport is None:
            raise Unavailable
        packed = [pack(command) for command in commands]
        replies = [self._loop.create_future() for _ in packed]
        self._greetings.extend(replies)
        self._transport.write(b"".join(packed))
        for reply in await asyncio.gather(*replies, return_exceptions=True):
            if isinstance(reply, Exception):
                raise reply
        self._greeted = True
        self._flush()

    def drop(self) -> None:
        """Give the connection up: everybody who waits gets `Unavailable`, now."""
        if self.is_lost:
            return
        self.is_lost = True
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        for reply in (*self._greetings, *(waiter for waiter, _ in self._waiters)):
            if not reply.done():
                reply.set_exception(Unavailable())
        self._greetings.clear()
        self._waiters.clear()
        self._on_lost()

    def _flush(self) -> None:
        if self._transport is not None and self._out and not self.is_lost:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def _look_at_the_time(self) -> None:
        """One timer for all: they wait equally long, so the oldest is the first to lose patience.

        Who has given up meanwhile still has a place in the row, for the reply is still to come.
        """
        self._timer = None
        if not self._waiters:
            return
        left = self._waiters[0][1] + self._patience - time.monotonic()
        if left <= 0:
            self.drop()
        else:
            self._timer = self._loop.call_later(left, self._look_at_the_time)

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        if self.is_lost:
            self._transport.abort()

    @override
    def data_received(self, data: bytes) -> None:
        if self.is_lost:
            return
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                self._hand_over(reply)
        except (hiredis.ProtocolError, IndexError):
            # Nonsense, or words that nobody waits for: nothing on here can be believed any more.
            self.drop()

    def _hand_over(self, reply: Any) -> None:
        if type(reply) is hiredis.PushNotification:
            if self.pushed is None:
                raise IndexError
            self.pushed(reply)
            return
        if self._greetings:
            waiter = self._greetings.popleft()
        else:
            waiter, self.answered = self._waiters.popleft()
        if waiter.done():
            return
        if isinstance(reply, hiredis.ReplyError):
            waiter.set_exception(reply)
        else:
            waiter.set_result(reply)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.drop()
