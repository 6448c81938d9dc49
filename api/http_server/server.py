"""The HTTP server of one process: accepts connections from sockets that it shares with others."""

import asyncio
import errno
import socket
from asyncio import AbstractEventLoop, Task
from contextlib import suppress
from email.utils import formatdate

from api.http_server.connection import Connection
from api.http_server.connection_state import Timeouts
from api.http_server.interfaces import Application
from api.http_server.parser import HeadCache

_TICK_INTERVAL = 0.2  # seconds
_SEND_BUFFER_BYTES = 128 * 1024  # of each connection, in the kernel
_ACCEPT_RETRY_DELAY = 0.5  # seconds, when there are too many connections or open files
_RESOURCE_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Server:
    """Accepts up to `max_connections` connections and has `application` handle their requests.

    Excess connections stay in the listen backlog, where other processes may accept them. Request
    bodies, pipelined requests and unsent responses may take `max_buffered_bytes` in all.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        application: Application,
        *,
        max_connections: int,
        timeouts: Timeouts,
        max_buffered_bytes: int = 32 * 1024 * 1024,
    ) -> None:
        self.loop = loop
        self.application = application
        self.timeouts = timeouts
        self.connections: set[Connection] = set()
        self.head_cache = HeadCache()
        self.shutting_down = False
        self.buffered_bytes = 0
        self._unsent_bytes = 0  # in all transports' buffers, at the last tick
        self._max_buffered_bytes = max_buffered_bytes
        self.date_header = b""
        self.now = loop.time()
        self._max_connections = max_connections
        self._listeners: list[socket.socket] = []
        self._setups: set[Task[None]] = set()
        self._all_closed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._tick()

    @property
    def is_out_of_memory(self) -> bool:
        """Whether more is buffered for clients than may be."""
        return self.buffered_bytes + self._unsent_bytes > self._max_buffered_bytes

    def listen(self, listener: socket.socket) -> None:
        """Accepts connections from a listening socket."""
        listener.setblocking(False)
        # Accepted sockets inherit it. The kernel would buffer megabytes for a client that reads
        # nothing, uncounted and without a deadline.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self._listeners.append(listener)
        self.loop.add_reader(listener, self._accept, listener)

    async def shutdown(self) -> None:
        """Stops accepting, answers what is under way or still arrives on open connections, and
        returns when the last of them is closed.

        Connections in the listen backlog are accepted first: no other process may be left to do so.
        """
        self.shutting_down = True
        for listener in self._listeners:
            self.loop.remove_reader(listener)
            with suppress(OSError):  # out of resources: the other processes have the socket
                while self._accept_one(listener):
                    pass
            listener.close()
        self._listeners.clear()
        for connection in self.connections:
            connection.start_graceful_shutdown()
        self._tick()
        await self._all_closed.wait()

    def _accept(self, listener: socket.socket) -> None:
        """Accepts one connection in this turn: an idle process beside us accepts the next."""
        if len(self.connections) + len(self._setups) >= self._max_connections:
            self._pause_accepting(listener)
            return
        try:
            self._accept_one(listener)
        except OSError as error:
            if error.errno not in _RESOURCE_ERRNOS:
                raise
            self._pause_accepting(listener)

    def _accept_one(self, listener: socket.socket) -> bool:
        """Accepts a connection; returns whether there was one. Raises `OSError`."""
        try:
            accepted, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        accepted.setblocking(False)
        setup = self.loop.create_task(self._setup_connection(accepted))
        self._setups.add(setup)
        setup.add_done_callback(self._setups.discard)
        return True

    async def _setup_connection(self, accepted: socket.socket) -> None:
        with suppress(ConnectionError):  # the client has closed it already
            await self.loop.connect_accepted_socket(lambda: Connection(self), accepted)

    def _pause_accepting(self, listener: socket.socket) -> None:
        self.loop.remove_reader(listener)
        self.loop.call_later(_ACCEPT_RETRY_DELAY, self._resume_accepting, listener)

    def _resume_accepting(self, listener: socket.socket) -> None:
        if not self.shutting_down:
            self.loop.add_reader(listener, self._accept, listener)

    def _tick(self) -> None:
        """Updates the clock and ends connections whose deadline has passed."""
        if self._timer is not None:
            self._timer.cancel()
        now = self.loop.time()
        # After a pause of this process its clients may have sent in time what is not read yet.
        stalled = now - self.now > 5 * _TICK_INTERVAL
        self.now = now
        self.date_header = f"date: {formatdate(usegmt=True)}\r\n".encode()
        if not stalled:
            self._unsent_bytes = sum([each.check_deadline() for each in list(self.connections)])
        if self.shutting_down and not self.connections and not self._setups:
            self._all_closed.set()
        else:
            self._timer = self.loop.call_later(_TICK_INTERVAL, self._tick)
