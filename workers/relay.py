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

from domain.errors import Unavailable
from domain.stores import outbox, profiles, vouching
from domain.stores.postgres.errors import translate_database_errors
from workers import queue

log = structlog.get_logger(__name__)

BATCH = 200
# Rows whose lease ended while they stood in a long queue are not handed out a second time: the
# queue still has them, and must not grow by waiting.
QUEUE_MOST = 1_000
WAIT_MOST = 0.7  # seconds; a blocking command must end before its socket times out
_WAIT_LEAST = 0.02
_GATHER = 0.02  # seconds; who is wanted in that time is served with one batch
_PAUSE = 0.2  # seconds between two tries while something is away; less than a reader waits


class Relay:
    """One relay; several may run, each row goes to one of them."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._vouching = vouching.steps()

    def stop(self) -> None:
        """End `run` soon: within `WAIT_MOST` seconds."""
        self._stopped.set()

    def run(self) -> None:
        """Hand out until `stop` is called. Whatever is away is waited for."""
        while not self._stopped.is_set():
            wait = self.hand_out()
            if self.vouch():
                self.serve_wanted(wait)

    def hand_out(self) -> float:
        """Give due rows to Huey; returns how many seconds to wait for the next."""
        length = queue.length()
        if length is None or length >= QUEUE_MOST:
            return WAIT_MOST
        close_old_connections()
        try:
            with translate_database_errors():
                due = outbox.hand_out(BATCH)
                wait = 0.0 if len(due) == BATCH else outbox.seconds_until_due()
        except Unavailable:
            return WAIT_MOST
        if due:
            log.info("handed_out", rows=len(due), told=queue.wake(due))
        return WAIT_MOST if wait is None else min(wait, WAIT_MOST)

    def vouch(self) -> bool:
        """Whether the profile Redis may be believed; a part of what it has lost is brought back."""
        try:
            close_old_connections()
            with translate_database_errors():
                return next(self._vouching)
        except Unavailable as error:
            log.warning("vouching_failed", error=type(error).__name__)
            self._vouching = vouching.steps()
            self._stopped.wait(_PAUSE)
            return False

    def serve_wanted(self, wait: float) -> None:
        """Rewrite the profiles that are wanted during the next `wait` seconds."""
        end = time.monotonic() + max(wait, _WAIT_LEAST)
        try:
            while not self._stopped.is_set() and (left := end - time.monotonic()) > 0:
                close_old_connections()
                if people := profiles.next_wanted(BATCH, max(left, _WAIT_LEAST)):
                    with translate_database_errors():
                        profiles.refresh_all(people)
                    self._stopped.wait(_GATHER)
        except Unavailable as error:
            # Whoever still waits asks again; but is that the same Redis that comes back?
            log.warning("refresh_failed", error=type(error).__name__)
            self._stopped.wait(_PAUSE)
