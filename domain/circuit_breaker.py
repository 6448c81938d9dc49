"""A circuit breaker: while a server does not respond, calls to it fail at once.

Without one each call waits for the whole timeout, and a few of them occupy all threads. Why no
library: pybreaker 1.4 holds its lock during a call, so that calls would run one at a time, and
probes for recovery with one of the calls, which waits for the timeout again.
"""

from collections.abc import Callable
from threading import Lock, Thread
from time import sleep

import structlog

from domain.metrics.registry import CIRCUIT_BREAKER_OPENINGS, CIRCUIT_BREAKERS_OPEN

log = structlog.get_logger(__name__)

_INTERVAL = 0.5  # seconds between two probes


class CircuitBreaker:
    """Opens after a timeout, and closes as soon as a probe in the background succeeds.

    Callers make no call while `is_open`, and call `open` after a timeout. Thread-safe. `name`: of
    the server, in the log and the metrics.
    """

    def __init__(self, name: str) -> None:
        self.is_open = False
        self._name = name
        self._lock = Lock()
        self._open_gauge = CIRCUIT_BREAKERS_OPEN.labels(name)
        self._openings = CIRCUIT_BREAKER_OPENINGS.labels(name)

    def open(self, probe: Callable[[], object], failure: type[Exception]) -> None:
        """Opens until `probe`, called repeatedly, returns instead of raising `failure`.

        Any other exception of it is a bug, and closes as well.
        """
        with self._lock:
            if self.is_open:
                return
            self.is_open = True
        self._open_gauge.inc()
        self._openings.inc()
        log.warning("circuit_opened", server=self._name)
        # A daemon, because a process may exit while a server does not respond.
        Thread(target=self._probe, args=(probe, failure), daemon=True).start()

    def _probe(self, probe: Callable[[], object], failure: type[Exception]) -> None:
        try:
            while True:
                sleep(_INTERVAL)
                try:
                    probe()
                except failure:
                    continue
                break
        finally:
            self.is_open = False
            self._open_gauge.dec()
        log.info("circuit_closed", server=self._name)
