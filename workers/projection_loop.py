"""The part of the relay that keeps one primary of the profile Redis."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

import structlog
from django.db import close_old_connections, connections

from domain.metrics.registry import PROFILE_BACKFILLS
from domain.model.errors import ServiceUnavailable
from domain.postgres.errors import translate_database_errors
from domain.projection import backend_keys
from domain.projection.backfill import pop_misses
from domain.projection.client import Primary, get_primaries, translate_redis_errors
from domain.projection.fencing import Fence, Fencing
from domain.projection.primary_rebuild import rebuild_primary
from domain.projection.writer import project

log = structlog.get_logger(__name__)

_BATCH_SIZE = 200
_INTERVAL = 0.7  # seconds between two fences; a blocking command must end before its time-out
_MIN_WAIT = 0.02
_BATCH_WINDOW = 0.02  # seconds; misses of that time are backfilled in one batch
# Seconds after an outage in which writes may still have failed to reach Redis: circuit breakers of
# other processes close within one.
_RECOVERY = 3.0
_RETRY_DELAY = 0.2  # seconds, while a dependency is unavailable; less than a reader waits


class ProjectionLoop:
    """Fences a primary, writes the backend keys to it, backfills its misses, and rebuilds it in a
    thread of its own after it has lost its profiles.
    """

    def __init__(
        self, hash_tag: str, fencing: Fencing, executor: ThreadPoolExecutor, stop_event: Event
    ) -> None:
        self._hash_tag = hash_tag
        self._fencing = fencing
        self._executor = executor
        self._stop_event = stop_event
        self._rebuild: Future[None] | None = None
        self._rebuild_may_run = Event()  # except while readers wait for a backfill
        self._rebuild_may_run.set()
        self._recovers_until = time.monotonic() + _RECOVERY

    def run(self) -> None:
        """Runs until the event is set, or the primary is gone; retries while a dependency is
        unavailable.
        """
        try:
            while not self._stop_event.is_set():
                try:
                    with translate_database_errors():
                        close_old_connections()
                        if (primary := self._find_primary()) is None:
                            return
                        self._start_rebuild(primary, self._fencing.advance(primary))
                        backend_keys.project(primary)
                        if time.monotonic() < self._recovers_until:
                            self._fencing.mark_unfinished(primary)
                        self._backfill_misses(primary)
                except ServiceUnavailable as error:
                    # The misses popped so far are lost: the next read of each requests it again.
                    log.warning("projection_failed", error_type=type(error).__name__)
                    self._stop_event.wait(_RETRY_DELAY)
                    self._recovers_until = time.monotonic() + _RECOVERY
        finally:
            connections.close_all()  # this thread's

    def _find_primary(self) -> Primary | None:
        """Returns the primary with that hash tag now: another server, after a failover."""
        with translate_redis_errors():
            return next((p for p in get_primaries() if p.hash_tag == self._hash_tag), None)

    def _start_rebuild(self, primary: Primary, fence: Fence) -> None:
        if self._rebuild is not None and self._rebuild.done():
            self._rebuild.result()  # raises what ended it unexpectedly
            self._rebuild = None
        if fence.rebuild_after is not None and self._rebuild is None:
            events = self._rebuild_may_run, self._stop_event
            self._rebuild = self._executor.submit(
                rebuild_primary, primary, fence.rebuild_after, *events
            )

    def _backfill_misses(self, primary: Primary) -> None:
        """Backfills the misses until the fence has to be advanced again.

        Raises `ServiceUnavailable`, and Django's `OperationalError` and `InterfaceError`.
        """
        deadline = time.monotonic() + _INTERVAL
        while not self._stop_event.is_set() and (remaining := deadline - time.monotonic()) > 0:
            if person_ids := pop_misses(primary, _BATCH_SIZE, max(remaining, _MIN_WAIT)):
                self._rebuild_may_run.clear()
                try:
                    project(*person_ids)
                finally:
                    self._rebuild_may_run.set()
                PROFILE_BACKFILLS.inc(len(person_ids))
                self._stop_event.wait(_BATCH_WINDOW)
