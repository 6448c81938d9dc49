"""Reverse proxy to the write process: bounded, and without work for clients that are gone.

A request is admitted before its body is read. At most WRITE_MAX_CONCURRENCY requests are in flight
to the write process, and WRITE_MAX_WAITING more have their body read or wait for their turn; above
that the response is an immediate 503. Each request has a connection of its own, which the write
process cannot have closed when it is used: nothing is ever sent twice.
"""

import asyncio
from asyncio import Semaphore, Task
from collections.abc import Callable
from time import monotonic

import structlog

from api.http_server.request import Request
from api.reads.socket_address import SocketAddress
from api.reads.upstream import UpstreamError, exchange
from settings import environment

log = structlog.get_logger(__name__)

_TRIAL_INTERVAL = 1.0  # seconds between two requests to a write process that hangs


class Proxy:
    """Passes requests on to the write process at `address`.

    `reject` responds 503 to a request, for a reason that is counted. The settings WRITE_* are the
    limits. Of the `admitted` requests, those `in_flight` have been sent.
    """

    def __init__(self, address: SocketAddress, reject: Callable[[Request, str], None]) -> None:
        self._address = address
        self._reject = reject
        self._slots = Semaphore(environment.WRITE_MAX_CONCURRENCY)
        self.admitted = self.in_flight = 0
        self._tasks: set[Task[None]] = set()
        self._is_hung = False
        self._next_trial_at = self._last_response_at = 0.0

    def handle(self, request: Request, max_body_bytes: int) -> None:
        """Responds with the response of the write process, or 503. Raises nothing."""
        if self.admitted >= environment.WRITE_MAX_CONCURRENCY + environment.WRITE_MAX_WAITING:
            self._reject(request, "overloaded")
        elif not self._allows_trial():
            self._reject(request, "upstream_hung")
        else:
            self.admitted += 1
            if request.content_length != 0:
                request.on_disconnect = self._release
                request.read_body(max_body_bytes, self._start)
            else:
                self._start(request)

    def _allows_trial(self) -> bool:
        """Returns whether to send this request: while the write process hangs, one in a while."""
        now = monotonic()
        if now < self._next_trial_at:
            return False
        if self._is_hung:
            self._next_trial_at = now + _TRIAL_INTERVAL
        return True

    def _start(self, request: Request) -> None:
        request.on_disconnect = None
        # Eager: a free slot is taken before a client that half-closes is noticed.
        task = Task(self._forward(request), loop=asyncio.get_running_loop(), eager_start=True)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: Task[None]) -> None:
        self._tasks.discard(task)
        self._release()

    def _release(self) -> None:
        self.admitted -= 1

    async def _forward(self, request: Request) -> None:
        started_at = monotonic()
        if self._slots.locked() and (task := asyncio.current_task()) is not None:
            request.on_disconnect = task.cancel
        try:
            async with asyncio.timeout(environment.WRITE_TIMEOUT), self._slots:
                # From here on a disconnect changes nothing: the write process is not notified, and
                # works on it in a thread. Its slot is taken until then.
                request.on_disconnect = None
                started_at = monotonic()
                self.in_flight += 1
                try:
                    response = await exchange(self._address, request)
                finally:
                    self.in_flight -= 1
        except TimeoutError:
            self._check_for_hang(started_at)
            self._reject(request, "upstream_timeout")
        except (OSError, UpstreamError):
            self._reject(request, "upstream_unavailable")
        else:
            self._is_hung, self._next_trial_at = False, 0.0
            self._last_response_at = monotonic()
            request.respond(*response)

    def _check_for_hang(self, started_at: float) -> None:
        """Takes the write process for hung if it has answered nothing since a request was sent that
        has timed out.
        """
        if self._last_response_at < started_at < monotonic() - environment.WRITE_TIMEOUT / 2:
            self._is_hung = True
            self._next_trial_at = monotonic() + _TRIAL_INTERVAL
            log.warning("upstream_hung")
