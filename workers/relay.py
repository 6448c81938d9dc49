"""The relay: hands due outbox rows and wanted profiles to Huey, and waits for the next.

Huey's own periodic tasks wake only once a minute, and its queue forgets what a killed worker
held, or all of it when it is wiped. The relay makes good for both, because it looks at Postgres.
"""

import threading
from uuid import UUID

import structlog
from django.db import InterfaceError, OperationalError, close_old_connections

from domain.errors import Unavailable
from domain.stores import outbox, profiles
from workers import queue

log = structlog.get_logger(__name__)

BATCH = 200
# Rows whose lease ended while they stood in a long queue are not handed out a second time: the
# queue still has them, and must not grow by waiting.
QUEUE_MOST = 1_000
WAIT_MOST = 0.7  # seconds; a blocking command must end before its socket times out
_WAIT_LEAST = 0.02


class Relay:
    """One relay; several may run, each row goes to one of them."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End `run` soon: within `WAIT_MOST` seconds."""
        self._stopped.set()

    def run(self) -> None:
        """Hand out until `stop` is called. Whatever is away is waited for."""
        while not self._stopped.is_set():
            wait = self.hand_out()
            self.serve_wanted(wait)

    def hand_out(self) -> float:
        """Give due rows to Huey; returns how many seconds to wait for the next."""
        length = queue.length()
        if length is None or length >= QUEUE_MOST:
            return WAIT_MOST
        close_old_connections()
        try:
            due = outbox.hand_out(BATCH)
            wait = 0.0 if len(due) == BATCH else outbox.seconds_until_due()
        except (OperationalError, InterfaceError) as error:
            log.warning("postgres_unavailable", error=type(error.__cause__ or error).__name__)
            return WAIT_MOST
        if due:
            log.info("handed_out", rows=len(due), told=queue.wake(due))
        return WAIT_MOST if wait is None else min(wait, WAIT_MOST)

    def serve_wanted(self, wait: float) -> None:
        """Have wanted profiles rewritten, waiting up to `wait` seconds for the first."""
        try:
            people = profiles.next_wanted(BATCH, max(wait, _WAIT_LEAST))
        except Unavailable:
            self._stopped.wait(WAIT_MOST)
            return
        if people and not queue.refresh(people):
            _refresh_here(people)


def _refresh_here(people: list[UUID]) -> None:
    """Rewrite profiles without Huey, while its Redis is away: readers must not wait for it."""
    close_old_connections()
    for person_id in people:
        try:
            profiles.refresh(person_id)
        except (Unavailable, OperationalError, InterfaceError) as error:
            # Whoever still waits asks again.
            log.warning("refresh_failed", error=type(error).__name__)
            return
