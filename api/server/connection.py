"""One connection of a client: requests one after the other, answers in their order, and its end."""

import asyncio
import math
from collections import deque
from http import HTTPStatus
from typing import Protocol, cast, override

from api.server.incoming import Incoming, NotHTTP
from api.server.request import Request

_IDLE = 75.0  # seconds between two requests; longer than load balancers keep a connection (60)
_HEAD = 10.0  # seconds for the head of a request, from its first octet on
_SLOW = 30.0  # seconds in which a client takes nothing of its answer
_LEAVING = 2.0  # seconds for a client to see that an answer was the last, and to hang up
_STAYING = 1.0  # seconds for one more request to come, when this process is about to end

_STATUS = {s.value: b"HTTP/1.1 %d %b\r\n" % (s, s.phrase.encode()) for s in HTTPStatus}


class Application(Protocol):
    """Who answers."""

    def handle(self, request: Request) -> None:
        """Answer the request, now or later. Raises nothing."""

    def refusal(self) -> tuple[int, bytes, bytes]:
        """What is said to whoever does not speak HTTP: status, lines of headers, body."""


class Server(Protocol):
    """The process that a connection is in. `now` is the loop's time, as of a moment ago."""

    now: float
    application: Application
    connections: "set[Connection]"
    date: bytes  # a line of the head
    ending: bool


class Connection(asyncio.Protocol):
    """One connection. Requests are answered one at a time; those sent ahead wait for their turn.

    `deadline` is the loop's time at which it is given up, unless a request is under way: that one
    has deadlines of its own.
    """

    def __init__(self, server: Server) -> None:
        self.deadline = math.inf
        self.client = ""
        self.server = ("", 0)
        self._server = server
        self._incoming = Incoming(self, self._take)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[Request] = deque()
        self._current: Request | None = None
        self._in_turn = False
        self._held = False  # the client waits with what it sends
        self._full = False  # the client does not take what it is sent
        self._deaf = False  # nothing that comes is listened to any more
        self._refused = False  # what came was no HTTP
        self._leaving = False  # the last answer was given

    # --- What the event loop tells ---------------------------------------------------------------

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if isinstance(peer, tuple) and isinstance(own, tuple):
            self.client, self.server = peer[0], own[:2]
        self._server.connections.add(self)
        self._wait_for_more()

    @override
    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        incoming = self._incoming
        head = incoming.head
        try:
            if not incoming.feed(data):
                self._deaf = True  # it is answered as if it had not asked, and then we part
        except NotHTTP:
            self._refuse()
        else:
            if incoming.head is not None and incoming.head is not head:
                self.deadline = self._server.now + _HEAD

    @override
    def eof_received(self) -> bool:
        """Whoever has sent all that it has to say may still wait for answers."""
        self._deaf = True
        self._incoming.cut()
        return self._current is not None

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._waiting.clear()
        self._server.connections.discard(self)
        self._incoming.cut()

    @override
    def pause_writing(self) -> None:
        self._full = True
        self.deadline = self._server.now + _SLOW

    @override
    def resume_writing(self) -> None:
        self._full = False
        if not self._leaving:
            self._wait_for_more()
            self._next()

    # --- What requests tell ----------------------------------------------------------------------

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        """Send the answer to the request that is under way, and turn to the next."""
        request, self._current = self._current, None
        if self._transport is None or request is None:
            return
        last = request.is_last or not request.is_whole or self._ends()
        parts = [_STATUS[status], self._server.date, head]
        if status != HTTPStatus.NO_CONTENT and b"content-length: " not in head:
            parts.append(b"content-length: %d\r\n" % len(body))
        parts.append(b"connection: close\r\n\r\n" if last else b"\r\n")
        if request.method != "HEAD" and status != HTTPStatus.NOT_MODIFIED:
            parts.append(body)
        self._transport.write(b"".join(parts))
        if last:
            self._leave(at_once=request.is_last and request.is_whole and not self._refused)
        else:
            self._wait_for_more()
        if self._waiting or self._deaf:
            self._next()

    def ask_for_body(self) -> None:
        """Tell the client to go on."""
        if self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def hold(self, yes: bool) -> None:
        """Have the client wait with what it sends next, or not any longer."""
        if self._transport is None or self._held == yes:
            return
        self._held = yes
        if yes:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # --- What the server tells -------------------------------------------------------------------

    def end_soon(self) -> None:
        """Answer what is under way, and what comes in a moment, and then hang up."""
        if self._current is None and not self._leaving and not self._full:
            self._wait_for_more()

    def look_at_the_time(self) -> None:
        """Give the connection up if its patience is at its end."""
        if self._server.now < self.deadline or self._transport is None:
            return
        if self._full or self._leaving:
            self._transport.abort()
        elif self._current is None and self._incoming.head is not None:
            self._refuse()
        elif self._current is None:
            self._transport.close()

    # --- Ourselves -------------------------------------------------------------------------------

    def _take(self, request: Request) -> None:
        """Answer a request whose head has come, or let it wait for its turn."""
        if self._current is None and not self._waiting and not self._full:
            self._current = request
            self._server.application.handle(request)
        else:
            self._waiting.append(request)
            self.hold(True)

    def _ends(self) -> bool:
        """Whether this process is about to end, and the client has nothing on its way as yet."""
        return self._server.ending and not self._waiting and self._incoming.head is None

    def _next(self) -> None:
        """Turn to the next request, if there is one and nothing is in its way."""
        if self._in_turn:
            return  # an answer was given at once: the loop below goes on
        self._in_turn = True
        while self._waiting and self._current is None and not self._full:
            self._current = self._waiting.popleft()
            if not self._waiting:
                self.hold(False)
            self._server.application.handle(self._current)
        self._in_turn = False
        if self._deaf and self._current is None and not self._waiting:
            self._part()

    def _wait_for_more(self) -> None:
        wait = (
            _HEAD if self._incoming.head is not None else _STAYING if self._server.ending else _IDLE
        )
        self.deadline = self._server.now + wait

    def _refuse(self) -> None:
        """What comes is no HTTP, or too much, or too slow. It is said when its turn has come."""
        self._deaf = self._refused = True
        self._incoming.cut()
        if self._current is None and not self._waiting:
            self._part()

    def _part(self) -> None:
        """All that was understood is answered, and nothing else will be."""
        if self._leaving or self._transport is None:
            return
        if self._refused:
            self._current = Request(self, "", b"", {})
            self._current.is_last = True
            self.answer(*self._server.application.refusal())
        else:
            self._leave(at_once=True)

    def _leave(self, *, at_once: bool) -> None:
        """Hang up once the answer is out.

        Octets that we have not read, or that come now, would have the kernel reset the connection,
        and the answer might be lost with it (RFC 9112 section 9.6): so we take them for a moment,
        for nothing.
        """
        self._leaving = self._deaf = True
        self._waiting.clear()
        if self._transport is None:
            return
        if at_once:
            self._transport.close()
            return
        self.deadline = self._server.now + _LEAVING
        self.hold(False)
        self._transport.write_eof()
