"""The relay: dispatches due outbox entries to Huey, and backfills cache misses.

Huey's own periodic tasks run once a minute, and its queue loses the tasks of a killed worker, or
all of them when it is wiped. The relay compensates for both, because it reads Postgres.

It also fences the profile Redis: readers do not trust one that was started from a snapshot, or took
over, before the relay has marked what it lacks. See `domain.projection.fencing`.

It delivers events too (`workers.events.delivery`), in a thread of its own.

Cache misses do not go through Huey, because their readers wait (`READ_MISS_TIMEOUT`). After Redis
has lost its data every read misses, and the relay backfills all waiting ones in a few round trips:
see `workers.projection_loop`.
"""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import structlog
from django.conf import settings
from django.db import close_old_connections

from domain.metrics.registry import RELAY_LAST_RUN
from domain.model.errors import ServiceUnavailable
from domain.postgres import outbox
from domain.postgres.errors import translate_database_errors
from domain.projection.client import get_primaries, translate_redis_errors
from domain.projection.fencing import Fencing
from workers import queue
from workers.events.delivery import EventDelivery
from workers.projection_loop import ProjectionLoop

log = structlog.get_logger(__name__)

BATCH_SIZE = 200
# Entries whose lease expired in a long queue are not dispatched again: the queue still has them,
# and must not grow by waiting.
MAX_QUEUE_DEPTH = 1_000
MAX_WAIT = 0.7  # seconds
_MIN_WAIT = 0.02
_RESTART_DELAY = 3.0  # seconds
_MAX_THREADS = 2_000  # two for each node of the largest Redis Cluster


class Relay:
    """One relay; several may run, each entry goes to one of them."""

    def __init__(self) -> None:
        self._stop_event = threading.Event()
        self._fencing = Fencing()
        self._projections: dict[str, Future[None]] = {}  # by the primary's hash tag
        self._events: Future[None] | None = None
        self._events_restart_at = 0.0

    def stop(self) -> None:
        """Stops `run` within `MAX_WAIT` seconds."""
        self._stop_event.set()

    def run(self) -> None:
        """Runs until `stop` is called; retries while a dependency is unavailable."""
        with ThreadPoolExecutor(_MAX_THREADS) as executor:
            try:
                while not self._stop_event.is_set():
                    RELAY_LAST_RUN.set_to_current_time()
                    self._start_projections(executor)
                    self._start_events(executor)
                    self._stop_event.wait(max(self.dispatch_due(), _MIN_WAIT))
            finally:
                self._stop_event.set()

    def _start_projections(self, executor: ThreadPoolExecutor) -> None:
        """Starts a thread for each primary of the profile Redis that has none: none of them is held
        up by another. Raises what ended one unexpectedly.
        """
        for hash_tag, projection in list(self._projections.items()):
            if projection.done():
                projection.result()
                del self._projections[hash_tag]
        with suppress(ServiceUnavailable), translate_redis_errors():
            for primary in get_primaries():
                if primary.hash_tag not in self._projections:
                    loop = ProjectionLoop(
                        primary.hash_tag, self._fencing, executor, self._stop_event
                    )
                    self._projections[primary.hash_tag] = executor.submit(loop.run)

    def _start_events(self, executor: ThreadPoolExecutor) -> None:
        """Starts the thread that delivers events, if there are any.

        One that ends unexpectedly does not end the relay, on which messages depend.
        """
        now = time.monotonic()
        if not settings.EVENT_WEBHOOK_URL or now < self._events_restart_at:
            return
        if self._events is not None:
            if not self._events.done():
                return
            log.error("event_delivery_failed", exc_info=self._events.exception())
            self._events_restart_at, self._events = now + _RESTART_DELAY, None
            return
        self._events = executor.submit(EventDelivery(self._stop_event).run)

    def dispatch_due(self) -> float:
        """Dispatches due entries to Huey; returns how many seconds to wait for the next."""
        depth = queue.queue_depth()
        if depth is None or depth >= MAX_QUEUE_DEPTH:
            return MAX_WAIT
        close_old_connections()
        try:
            with translate_database_errors():
                outbox_refs = outbox.lease_due(BATCH_SIZE)
                wait = 0.0 if len(outbox_refs) == BATCH_SIZE else outbox.seconds_until_due()
        except ServiceUnavailable:
            return MAX_WAIT
        if outbox_refs:
            is_enqueued = queue.enqueue(outbox_refs)
            log.info("outbox_dispatched", count=len(outbox_refs), enqueued=is_enqueued)
        return MAX_WAIT if wait is None else min(wait, MAX_WAIT)
