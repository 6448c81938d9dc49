"""The web server of one process: it takes connections from a socket that it shares with others."""

import asyncio
import errno
import socket
from asyncio import AbstractEventLoop, Task
from contextlib import suppress
from email.utils import formatdate

from api.server.connection import Application, Connection

_LOOK_EVERY = 0.2  # seconds
_NO_ROOM = 0.5  # seconds until the next try, when there are too many connections or open files
# What the kernel says when there is no room for one more (accept(2)).
_FULL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Server:
    """Takes connections and has `application` answer what comes on them, `most` at a time.

    Whoever comes beyond that waits in the kernel's queue; a process beside us may take them.
    """

    def __init__(self, loop: AbstractEventLoop, application: Application, most: int) -> None:
        self.loop = loop
        self.application = application
        self.connections: set[Connection] = set()
        self.ending = False
        self.date = b""
        self.now = loop.time()
        self._most = most
        self._listeners: list[socket.socket] = []
        self._welcomes: set[Task[None]] = set()
        self._nobody = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._look_at_the_time()

    def listen(self, listener: socket.socket) -> None:
        """Take connections from this socket, which listens already."""
        listener.setblocking(False)
        self._listeners.append(listener)
        self.loop.add_reader(listener, self._accept, listener)

    async def end(self) -> None:
        """Take no more connections, answer whatever is under way or still comes on those that there
        are, and return when the last of them is gone.

        Whoever waits in the socket's queue is taken first: nobody may be there to do it after us.
        """
        self.ending = True
        for listener in self._listeners:
            self.loop.remove_reader(listener)
            with suppress(OSError):  # no room for more: the socket's other processes have it
                while self._take(listener):
                    pass
            listener.close()
        self._listeners.clear()
        for connection in self.connections:
            connection.end_soon()
        self._look_at_the_time()
        await self._nobody.wait()

    def _accept(self, listener: socket.socket) -> None:
        """Take one connection, and no more in this turn: who is idle beside us takes the next."""
        if len(self.connections) + len(self._welcomes) >= self._most:
            self._pause(listener)
            return
        try:
            self._take(listener)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            self._pause(listener)

    def _take(self, listener: socket.socket) -> bool:
        """Take a connection; whether there was one. Raises OSError."""
        try:
            accepted, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False  # somebody else has it, or it is gone
        accepted.setblocking(False)
        welcome = self.loop.create_task(self._welcome(accepted))
        self._welcomes.add(welcome)
        welcome.add_done_callback(self._welcomes.discard)
        return True

    async def _welcome(self, accepted: socket.socket) -> None:
        with suppress(ConnectionError):  # the client has left already
            await self.loop.connect_accepted_socket(lambda: Connection(self), accepted)

    def _pause(self, listener: socket.socket) -> None:
        self.loop.remove_reader(listener)
        self.loop.call_later(_NO_ROOM, self._resume, listener)

    def _resume(self, listener: socket.socket) -> None:
        if not self.ending:
            self.loop.add_reader(listener, self._accept, listener)

    def _look_at_the_time(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.date = f"date: {formatdate(usegmt=True)}\r\n".encode()
        self.now = self.loop.time()
        for connection in list(self.connections):
            connection.look_at_the_time()
        if self.ending and not self.connections and not self._welcomes:
            self._nobody.set()
        else:
            self._timer = self.loop.call_later(_LOOK_EVERY, self._look_at_the_time)
