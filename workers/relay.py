"""The relay: dispatches due outbox entries to Huey, and backfills cache misses.

Huey's own periodic tasks run once a minute, and its queue loses the tasks of a killed worker, or
all of them when it is wiped. The relay compensates for both, because it reads Postgres.

It also fences the profile Redis: readers do not trust one that was started from a snapshot, or took
over, before the relay has projected what it lacks. See `domain.projection.fencing`.

Cache misses do not go through Huey: their readers wait for a quarter of a second. After Redis has
lost its data every read misses, and the relay backfills all waiting ones in a few round trips.
"""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import structlog
from django.db import close_old_connections

from domain.metrics.registry import PROFILE_BACKFILLS, RELAY_LAST_RUN
from domain.model.errors import ServiceUnavailable
from domain.postgres import outbox
from domain.postgres.errors import translate_database_errors
from domain.projection import fencing
from domain.projection.backfill import pop_misses
from domain.projection.client import Primary, get_primaries, translate_redis_errors
from domain.projection.writer import project
from workers import queue

log = structlog.get_logger(__name__)

BATCH_SIZE = 200
# Entries whose lease expired in a long queue are not dispatched again: the queue still has them,
# and must not grow by waiting.
MAX_QUEUE_DEPTH = 1_000
MAX_WAIT = 0.7  # seconds; a blocking command must end before its socket times out
_MIN_WAIT = 0.02
_MAX_PRIMARIES = 1_000  # as many as a Redis Cluster may have nodes
_BATCH_WINDOW = 0.02  # seconds; misses of that time are backfilled in one batch
_RETRY_DELAY = 0.2  # seconds, while a dependency is unavailable; less than a reader waits


class Relay:
    """One relay; several may run, each entry goes to one of them."""

    def __init__(self) -> None:
        self._stop_event = threading.Event()
        self._projections: dict[str, Future[None]] = {}  # by the primary's hash tag

    def stop(self) -> None:
        """Stops `run` within `MAX_WAIT` seconds."""
        self._stop_event.set()

    def run(self) -> None:
        """Runs until `stop` is called; retries while a dependency is unavailable."""
        with ThreadPoolExecutor(_MAX_PRIMARIES) as executor:
            try:
                while not self._stop_event.is_set():
                    RELAY_LAST_RUN.set_to_current_time()
                    self._start_projections(executor)
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
                    self._projections[primary.hash_tag] = executor.submit(
                        self._project, primary.hash_tag
                    )

    def _project(self, hash_tag: str) -> None:
        """Fences a primary, and backfills its misses, until `stop` is called or it is gone."""
        steps = fencing.run_fencing(hash_tag)
        while not self._stop_event.is_set():
            try:
                with translate_database_errors():
                    close_old_connections()
                    step = next(steps, None)
                    if step is None:
                        return
                    if step.is_trusted:
                        self._backfill_misses(step.primary)
            except ServiceUnavailable as error:
                # Readers request a backfill again; and another Redis may come up.
                log.warning("projection_failed", error_type=type(error).__name__)
                steps = fencing.run_fencing(hash_tag)
                self._stop_event.wait(_RETRY_DELAY)

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

    def _backfill_misses(self, primary: Primary) -> None:
        """Backfills the misses of the next `MAX_WAIT` seconds.

        Raises `ServiceUnavailable`, and Django's `OperationalError` and `InterfaceError`.
        """
        deadline = time.monotonic() + MAX_WAIT
        while not self._stop_event.is_set() and (remaining := deadline - time.monotonic()) > 0:
            if person_ids := pop_misses(primary, BATCH_SIZE, max(remaining, _MIN_WAIT)):
                project(*person_ids)
                PROFILE_BACKFILLS.inc(len(person_ids))
                self._stop_event.wait(_BATCH_WINDOW)
