"""The relay: hands due outbox rows to Huey, and writes the profiles that readers wait for.

Huey's own periodic tasks wake only once a minute, and its queue forgets what a killed worker
held, or all of it when it is wiped. The relay makes good for both, because it looks at Postgres.

It also vouches for the profile Redis: readers do not believe one that was started from a snapshot,
or took over, before the relay has looked at it. See `domain.stores.vouching`.

Wanted profiles do not go through Huey: their readers wait for a quarter of a second. When Redis
was lost everybody is wanted, and the relay writes all who wait at one time in a few round trips.
"""

import threading
import time

import structlog
from django.db import close_old_connections

from domain.errors import ServiceUnavailable
from domain.stores import outbox, profiles, vouching
from domain.stores.postgres.errors import translate_database_errors
from workers import queue

log = structlog.get_logger(__name__)

BATCH_SIZE = 200
# Rows whose lease ended while they stood in a long queue are not handed out a second time: the
# queue still has them, and must not grow by waiting.
MAX_QUEUE_DEPTH = 1_000
MAX_WAIT = 0.7  # seconds; a blocking command must end before its socket times out
_MIN_WAIT = 0.02
_BATCH_WINDOW = 0.02  # seconds; who is wanted in that time is served with one batch
_RETRY_DELAY = 0.2  # seconds between two tries while something is away; less than a reader waits


class Relay:
    """One relay; several may run, each row goes to one of them."""

    def __init__(self) -> None:
        self._stop_event = threading.Event()
        self._fencing = vouching.run_fencing()

    def stop(self) -> None:
        """End `run` soon: within `WAIT_MOST` seconds."""
        self._stop_event.set()

    def run(self) -> None:
        """Hand out until `stop` is called. Whatever is away is waited for."""
        while not self._stop_event.is_set():
            wait = self.dispatch_due()
            if self.advance_fence():
                self.backfill_misses(wait)

    def dispatch_due(self) -> float:
        """Give due rows to Huey; returns how many seconds to wait for the next."""
        depth = queue.queue_depth()
        if depth is None or depth >= MAX_QUEUE_DEPTH:
            return MAX_WAIT
        close_old_connections()
        try:
            with translate_database_errors():
                outbox_ids = outbox.lease_due(BATCH_SIZE)
                wait = 0.0 if len(outbox_ids) == BATCH_SIZE else outbox.seconds_until_due()
        except ServiceUnavailable:
            return MAX_WAIT
        if outbox_ids:
            log.info("outbox_dispatched", count=len(outbox_ids), enqueued=queue.enqueue(outbox_ids))
        return MAX_WAIT if wait is None else min(wait, MAX_WAIT)

    def advance_fence(self) -> bool:
        """Whether the profile Redis may be believed; a part of what it has lost is brought back."""
        try:
            close_old_connections()
            with translate_database_errors():
                return next(self._fencing)
        except ServiceUnavailable as error:
            log.warning("fencing_failed", error_type=type(error).__name__)
            self._fencing = vouching.run_fencing()
            self._stop_event.wait(_RETRY_DELAY)
            return False

    def backfill_misses(self, wait: float) -> None:
        """Rewrite the profiles that are wanted during the next `wait` seconds."""
        deadline = time.monotonic() + max(wait, _MIN_WAIT)
        try:
            while not self._stop_event.is_set() and (remaining := deadline - time.monotonic()) > 0:
                close_old_connections()
                if person_ids := profiles.pop_misses(BATCH_SIZE, max(remaining, _MIN_WAIT)):
                    with translate_database_errors():
                        profiles.project_many(person_ids)
                    self._stop_event.wait(_BATCH_WINDOW)
        except ServiceUnavailable as error:
            # Whoever still waits asks again; but is that the same Redis that comes back?
            log.warning("backfill_failed", error_type=type(error).__name__)
            self._stop_event.wait(_RETRY_DELAY)
