"""A worker process of gunicorn, which binds the socket, starts us and tells us when to end."""

import asyncio
import os
import resource
import signal
from typing import override

import structlog
import uvloop
from gunicorn.workers.base import Worker as Base

from api.server.listening import Server

log = structlog.get_logger(__name__)

_BEAT = 1.0  # seconds
_FAREWELL = 2.0  # seconds that are kept for the rest, of those that gunicorn gives us for our end


class Worker(Base):
    """Runs the application, a class without arguments, on an event loop until SIGTERM.

    Then it takes no more connections, answers what is under way, and ends; so it does when
    gunicorn's main process is gone. After `graceful_timeout` seconds gunicorn kills it.
    """

    @override
    def init_signals(self) -> None:
        super().init_signals()
        signal.set_wakeup_fd(-1)  # the event loop has one of its own

    @override
    def load_wsgi(self) -> None:
        """Make the application. What fails before this is over ends gunicorn, with its words;
        later, the process would be started again and again.
        """
        super().load_wsgi()
        self.application = self.wsgi()

    @override
    def run(self) -> None:
        # Every connection is an open file; what a login shell allows is for people.
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        told_to_end = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, told_to_end.set)
        self.application.start(loop)
        server = Server(loop, self.application, self.cfg.worker_connections)
        for listener in self.sockets:
            server.listen(listener.sock)
        log.info("web_worker_ready")
        self._beat(loop, told_to_end)
        if self.alive:  # else SIGTERM came before there was a loop
            await told_to_end.wait()
        try:
            async with asyncio.timeout(self.cfg.graceful_timeout - _FAREWELL):
                await server.end()
        except TimeoutError:
            log.error("web_worker_cut_off", connections=len(server.connections))
        await self.application.close()

    def _beat(self, loop: asyncio.AbstractEventLoop, told_to_end: asyncio.Event) -> None:
        """Tell gunicorn that we live: a process whose loop hangs is killed after `timeout`."""
        self.notify()
        if os.getppid() != self.ppid:
            told_to_end.set()
        loop.call_later(_BEAT, self._beat, loop, told_to_end)
