"""The HTTP server of one process: accepts connections from sockets that it shares with others."""

import asyncio
import socket
from asyncio import Task, TimerHandle
from contextlib import suppress
from email.utils import formatdate

from api.http_server.connection import Connection
from api.http_server.connection_state import ConnectionState
from api.http_server.server_state import ServerState

_TICK_INTERVAL = 0.2  # seconds
_SHUTDOWN_IDLE_TIMEOUT = 1.0  # seconds for a next request that may be under way already
_SEND_BUFFER_BYTES = 128 * 1024  # of each connection, in the kernel
_ACCEPT_RETRY_DELAY = 0.5  # seconds, when there are too many connections or open files


class Server:
    """Accepts up to `max_connections` connections.

    Excess connections stay in the listen backlog, where other processes may accept them.
    """

    def __init__(self, state: ServerState, *, max_connections: int) -> None:
        self.state = state
        self._loop = asyncio.get_running_loop()
        self._max_connections = max_connections
        self._listeners: list[socket.socket] = []
        self._setups: set[Task[None]] = set()
        self._timer: TimerHandle
        state.now = self._loop.time()
        self._tick()

    def listen(self, listener: socket.socket) -> None:
        """Accepts connections from a listening socket."""
        listener.setblocking(False)
        # Accepted sockets inherit it. The kernel would buffer megabytes for a client that reads
        # nothing, uncounted and without a deadline.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self._listeners.append(listener)
        self._loop.add_reader(listener, self._accept, listener)

    async def shutdown(self) -> None:
        """Stops accepting, answers what is under way or still arrives on open connections, and
        returns when the last of them is closed.

        Connections in the listen backlog are accepted first: no other process may be left to do so.
        """
        state = self.state
        state.shutting_down = True
        idle = min(state.timeouts.idle, _SHUTDOWN_IDLE_TIMEOUT)
        state.timeouts = state.timeouts._replace(idle=idle)
        for listener in self._listeners:
            self._loop.remove_reader(listener)
            with suppress(OSError):  # out of resources: the other processes have the socket
                while self._accept_one(listener):
                    pass
            listener.close()
        for connection in state.connections:
            if connection.state == ConnectionState.IDLE:
                connection.deadline = min(connection.deadline, state.now + idle)
        while state.connections or self._setups:
            await asyncio.sleep(_TICK_INTERVAL / 10)
        self._timer.cancel()

    def _accept(self, listener: socket.socket) -> None:
        """Accepts one connection in this turn: an idle process beside us accepts the next."""
        if len(self.state.connections) + len(self._setups) >= self._max_connections:
            self._pause_accepting(listener)
            return
        try:
            self._accept_one(listener)
        except OSError:  # too many open files, or an error of the network
            self._pause_accepting(listener)

    def _accept_one(self, listener: socket.socket) -> bool:
        """Accepts a connection; returns whether there was one. Raises `OSError`."""
        try:
            accepted, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        accepted.setblocking(False)
        setup = self._loop.create_task(self._setup_connection(accepted))
        self._setups.add(setup)
        setup.add_done_callback(self._setups.discard)
        return True

    async def _setup_connection(self, accepted: socket.socket) -> None:
        with suppress(ConnectionError):  # the client has closed it already
            await self._loop.connect_accepted_socket(lambda: Connection(self.state), accepted)

    def _pause_accepting(self, listener: socket.socket) -> None:
        self._loop.remove_reader(listener)
        self._loop.call_later(_ACCEPT_RETRY_DELAY, self._resume_accepting, listener)

    def _resume_accepting(self, listener: socket.socket) -> None:
        if not self.state.shutting_down:
            self._loop.add_reader(listener, self._accept, listener)

    def _tick(self) -> None:
        """Updates the clock and ends connections whose deadline has passed."""
        now = self._loop.time()
        # After a pause of this process its clients may have sent in time what is not read yet.
        stalled = now - self.state.now > 5 * _TICK_INTERVAL
        self.state.now = now
        self.state.date_header = f"date: {formatdate(usegmt=True)}\r\n".encode()
        if not stalled:
            for connection in list(self.state.connections):
                connection.check_deadline()
        self._timer = self._loop.call_later(_TICK_INTERVAL, self._tick)
