"""gunicorn's worker class of the read process; gunicorn binds the socket and supervises it."""

import asyncio
import os
import resource
import signal
from typing import override

import structlog
import uvloop
from gunicorn.workers.base import Worker as BaseWorker

from api.http_server.connection_state import Timeouts
from api.http_server.server import Server
from api.http_server.server_state import ServerState
from settings import environment

log = structlog.get_logger(__name__)

_HEARTBEAT_INTERVAL = 1.0  # seconds
_SHUTDOWN_MARGIN = 2.0  # seconds of gunicorn's graceful timeout that are left for the rest


class Worker(BaseWorker):
    """Runs the application, a class without arguments, on an event loop until SIGTERM.

    Then it stops accepting, answers what is under way, and exits; so it does when gunicorn's main
    process is gone. After `graceful_timeout` seconds gunicorn kills it.
    """

    @override
    def init_signals(self) -> None:
        super().init_signals()
        signal.set_wakeup_fd(-1)  # the event loop has its own

    @override
    def load_wsgi(self) -> None:
        """Makes the application. A failure before the end of this ends gunicorn, with its text;
        after it the process would be started again and again.
        """
        super().load_wsgi()
        self.application = self.wsgi()

    @override
    def run(self) -> None:
        # Each connection is an open file; the soft limit of a login shell is low.
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        shutdown_requested = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, shutdown_requested.set)
        self.application.start()
        timeouts = Timeouts(
            idle=environment.KEEP_ALIVE_TIMEOUT,
            head=environment.HEADERS_TIMEOUT,
            body=environment.BODY_TIMEOUT,
            draining=environment.SEND_TIMEOUT,
            lingering=environment.LINGER_TIMEOUT,
        )
        state = ServerState(self.application, timeouts)
        server = Server(state, max_connections=self.cfg.worker_connections)
        for listener in self.sockets:
            server.listen(listener.sock)
        log.info("worker_started")
        self._heartbeat(loop, shutdown_requested)
        if self.alive:  # else SIGTERM came before the loop could handle it
            await shutdown_requested.wait()
        await self._shutdown(server)

    async def _shutdown(self, server: Server) -> None:
        """Fails readiness first, for as long as load balancers may take to see it."""
        self.application.start_shutdown()
        await asyncio.sleep(environment.SHUTDOWN_DELAY)
        grace_period = self.cfg.graceful_timeout - environment.SHUTDOWN_DELAY - _SHUTDOWN_MARGIN
        try:
            async with asyncio.timeout(grace_period):
                await server.shutdown()
        except TimeoutError:
            log.error("graceful_shutdown_timeout", connections=len(server.state.connections))
        await self.application.close()

    def _heartbeat(
        self, loop: asyncio.AbstractEventLoop, shutdown_requested: asyncio.Event
    ) -> None:
        """Notifies gunicorn: a process whose loop hangs is killed after `timeout` seconds."""
        self.notify()
        if os.getppid() != self.ppid:
            shutdown_requested.set()
        loop.call_later(_HEARTBEAT_INTERVAL, self._heartbeat, loop, shutdown_requested)
