"""One connection to Redis, from its making to its loss: commands out, replies back in order."""

import asyncio
import math
import time
from asyncio import Future
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, cast, override

import hiredis


def pack(words: tuple[str | bytes | int, ...]) -> bytes:
    """A command as it goes over the wire."""
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # its stub: one word
    return packed


class Unavailable(Exception):
    """No reply: Redis is away or silent, the connection broke, or too many wait already."""


class Unasked(Exception):
    """Words of Redis that nobody waits for."""


def _settle(waiter: Future[Any], reply: Any) -> None:
    if waiter.done():
        return  # who waited has given up
    if isinstance(reply, hiredis.ReplyError | Unavailable):
        waiter.set_exception(reply)
    else:
        waiter.set_result(reply)


class Link(asyncio.Protocol):
    """One connection, used by everybody at once.

    All commands of one turn of the event loop go out in one write, and the reply that comes first
    is that of the command that was sent first. So a reply that comes too late would be taken for
    the next one: when the oldest waiter is not answered within `patience` seconds, the connection
    is given up, with all who wait on it.

    Commands may be sent before the connection stands; they go out after `open`. `lost` is called
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
        self._is_open = False
        self._greetings: deque[Future[Any]] = deque()
        self._out: list[bytes] = []
        self._waiters: deque[tuple[Callable[[Any], None], float]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def ask(self, command: bytes, heed: Callable[[Any], None]) -> None:
        """Send a packed command, and have `heed` called with its reply, in time.

        In the place of a reply it is given an `Unavailable` when none came, and a
        `hiredis.ReplyError` when Redis refused this one command. It must raise nothing.
        Raises `Unavailable` at once if too many wait.
        """
        if self.is_lost or len(self._waiters) >= self._most:
            raise Unavailable
        self._waiters.append((heed, time.monotonic()))
        if not self._out and self._is_open:
            self._loop.call_soon(self._flush)
        self._out.append(command)
        if self._timer is None:
            self._timer = self._loop.call_later(self._patience, self._look_at_the_time)

    def send(self, command: bytes) -> Future[Any]:
        """The reply to a packed command, once awaited; raised where `ask` gives an error."""
        reply: Future[Any] = self._loop.create_future()
        self.ask(command, partial(_settle, reply))
        return reply

    async def greet(self, commands: Iterable[tuple[str, ...]]) -> list[Any]:
        """Say who we are, in one write, before anything else; what Redis says to it.

        Raises `Unavailable`, and `hiredis.ReplyError` when Redis refuses us or is still loading.
        """
        if self.is_lost or self._transport is None:
            raise Unavailable
        packed = [pack(command) for command in commands]
        replies = [self._loop.create_future() for _ in packed]
        self._greetings.extend(replies)
        self._transport.write(b"".join(packed))
        said = await asyncio.gather(*replies, return_exceptions=True)
        for reply in said:
            if isinstance(reply, BaseException):
                raise reply
        return said

    def open(self) -> None:
        """Let the waiting commands out, and all that come."""
        self._is_open = True
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
        greetings, waiters = list(self._greetings), list(self._waiters)
        self._greetings.clear()
        self._waiters.clear()
        for reply in greetings:
            _settle(reply, Unavailable())
        for heed, _ in waiters:
            heed(Unavailable())
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
        reader = self._reader
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not False:
                self._hand_over(reply)
        except (hiredis.ProtocolError, Unasked):
            self.drop()  # nothing on here can be believed any more

    def _hand_over(self, reply: Any) -> None:
        if type(reply) is hiredis.PushNotification:
            if self.pushed is None:
                raise Unasked
            self.pushed(reply)
            return
        if self._greetings:
            _settle(self._greetings.popleft(), reply)
        elif not self._waiters:
            raise Unasked
        else:
            heed, self.answered = self._waiters.popleft()
            heed(reply)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.drop()
