"""One multiplexed connection to Redis: pipelined commands, replies in order (RESP2 or RESP3)."""

import asyncio
import math
from asyncio import Future
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any, cast, override

import hiredis
import structlog

from api.observability.loop_metrics import loop_metrics
from domain.metrics import registry

log = structlog.get_logger(__name__)

_REDIRECTS = frozenset({"MOVED", "ASK", "TRYAGAIN"})
_GRACE_PERIOD = 0.005  # seconds; see `_check_timeout`


def encode_command(arguments: tuple[str | bytes | int, ...]) -> bytes:
    """Returns a command in RESP."""
    packed: bytes = hiredis.pack_command(arguments)  # type: ignore[arg-type]  # stub lacks int
    return packed


def error_code(error: Exception) -> str:
    """Returns what may be logged of an error: its type, or Redis' error code (LOADING, NOAUTH)."""
    if isinstance(error, hiredis.ReplyError):
        return str(error).partition(" ")[0]
    return type(error).__name__


def is_redirect(reply: object) -> bool:
    """Returns whether a reply is an error of Redis Cluster that says where, or when, to repeat the
    command.
    """
    return isinstance(reply, hiredis.ReplyError) and error_code(reply) in _REDIRECTS


class RedisUnavailable(Exception):
    """No reply: Redis is unreachable or silent, the connection broke, or too many are pending."""


def _resolve(future: Future[Any], reply: Any) -> None:
    if future.done():
        return  # cancelled
    if isinstance(reply, hiredis.ReplyError | RedisUnavailable):
        future.set_exception(reply)
    else:
        future.set_result(reply)


class MultiplexedConnection(asyncio.Protocol):
    """A connection that all requests of the process share.

    All commands of one turn of the event loop are sent in one write, and each reply belongs to the
    oldest pending command. A late reply would be taken for the next one: so when the oldest command
    has no reply within `timeout` seconds, the connection is closed, and all pending commands fail.

    Commands may be sent before the connection is ready; they go out with `mark_ready`. `on_close`
    is called once, at its end; `on_push` with each push message (RESP3), in order with the replies.
    `last_reply_sent_at` is when the last command that has its reply was sent, by `time.monotonic`;
    not the loop's clock, which stands still for a turn.
    """

    def __init__(self, timeout: float, max_pending: int, on_close: Callable[[], None]) -> None:
        self.closed = False
        self.last_reply_sent_at = -math.inf
        self.on_push: Callable[[list[Any]], None] = lambda _: self.close()  # none is expected
        self._loop = asyncio.get_running_loop()
        self._timeout = timeout
        self._max_pending = max_pending
        self._on_close = on_close
        self._reader = hiredis.Reader(replyError=hiredis.ReplyError)
        self._transport: asyncio.Transport | None = None
        self._is_ready = False
        self._write_buffer: list[bytes] = []
        self._pending: deque[tuple[Callable[[Any], None], float]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def send_command(self, command: bytes, on_reply: Callable[[Any], None]) -> None:
        """Sends an encoded command, and calls `on_reply` with its reply, or with an error.

        The error is a `RedisUnavailable` when there is no reply, and a `hiredis.ReplyError` when
        Redis refused this command. Raises `RedisUnavailable` at once if too many are pending.
        """
        if self.closed or len(self._pending) >= self._max_pending:
            raise RedisUnavailable
        self._pending.append((on_reply, monotonic()))
        if not self._write_buffer and self._is_ready:
            self._loop.call_soon(self._flush)
        self._write_buffer.append(command)
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout, self._check_timeout)

    def execute_command(self, command: bytes) -> Future[Any]:
        """Returns a future of the reply to an encoded command; errors of `send_command` are
        raised where it is awaited.
        """
        reply: Future[Any] = self._loop.create_future()
        self.send_command(command, partial(_resolve, reply))
        return reply

    def send_handshake(self, commands: Sequence[tuple[str, ...]]) -> list[Future[Any]]:
        """Sends the first commands in one write; returns futures of their replies.

        Raises `RedisUnavailable`.
        """
        if self.closed or self._transport is None:
            raise RedisUnavailable
        futures: list[Future[Any]] = [self._loop.create_future() for _ in commands]
        now = monotonic()
        for reply in futures[::-1]:  # mypyc cannot compile `reversed` here
            self._pending.appendleft((partial(_resolve, reply), now))
        self._transport.write(b"".join(map(encode_command, commands)))
        return futures

    def mark_ready(self) -> None:
        """Sends the commands that wait for the handshake, and all that follow."""
        self._is_ready = True
        self._flush()

    def close(self) -> None:
        """Closes the connection: all pending commands fail with `RedisUnavailable`, now."""
        if self.closed:
            return
        self.closed = True
        try:
            if self._timer is not None:
                self._timer.cancel()
            if self._transport is not None:
                self._transport.abort()
            pending, self._pending = self._pending, deque()
            for on_reply, _ in pending:
                self._call(on_reply, RedisUnavailable())
        finally:
            self._on_close()

    def _flush(self) -> None:
        if self._transport is not None and self._write_buffer and not self.closed:
            self._transport.write(b"".join(self._write_buffer))
        self._write_buffer.clear()

    def _check_timeout(self, expired_at: float = 0.0) -> None:
        """Closes the connection if the oldest command has waited too long; one timer for all.

        After a pause of this process the reply may have arrived, unread: the loop gets a turn to
        read it before the connection is given up. `expired_at` is when that command was sent.
        """
        self._timer = None
        if not self._pending:
            return
        sent_at = self._pending[0][1]
        remaining = sent_at + self._timeout - monotonic()
        if remaining > 0:
            self._timer = self._loop.call_later(remaining, self._check_timeout)
        elif sent_at != expired_at:
            self._timer = self._loop.call_later(_GRACE_PERIOD, self._check_timeout, sent_at)
        else:
            self.close()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        if self.closed:
            self._transport.abort()

    @override
    def data_received(self, data: bytes) -> None:
        reader = self._reader
        try:
            reader.feed(data)
            while not self.closed and (reply := reader.gets()) is not False:
                self._dispatch_reply(reply)
        except hiredis.ProtocolError:
            self.close()  # replies can no longer be matched to commands

    def _dispatch_reply(self, reply: Any) -> None:
        if type(reply) is hiredis.PushNotification:
            self.on_push(reply)
        elif self._pending:
            on_reply, self.last_reply_sent_at = self._pending.popleft()
            self._call(on_reply, reply)
        else:
            self.close()  # no command asked for it

    def _call(self, on_reply: Callable[[Any], None], reply: Any) -> None:
        """Calls a callback, whose failure must not reach the other pending commands."""
        try:
            on_reply(reply)
        except Exception:  # a bug of one request: logged and counted, the connection is intact
            loop_metrics.inc(registry.REDIS_CALLBACK_ERRORS, "profiles")
            log.exception("redis_callback_failed")

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.close()
