"""Delivers events: of many people at once, of each person one after another.

A thread of the relay with a pool of its own, so that a receiver that fails or hangs keeps no
message waiting. Its threads send, and nothing else; all SQL is in the loop, and no transaction is
open while an event is sent. Several may run: leases keep the order, see
`domain.postgres.event_leases`.
"""

import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from threading import Event as ThreadingEvent
from uuid import UUID

import structlog
from django.conf import settings
from django.db import close_old_connections, connections

from domain.metrics.registry import EVENT_ATTEMPTS
from domain.model.backoff import retry_delay
from domain.model.errors import ServiceUnavailable
from domain.model.person import Person
from domain.postgres import event_leases, person_queries
from domain.postgres.errors import translate_database_errors
from domain.postgres.event_leases import EventOutcome, LeasedEvent
from workers.events import payload
from workers.events.circuit import Circuit
from workers.events.receiver import Receiver
from workers.providers.base import SendError, TemporaryFailure
from workers.providers.standard_webhooks import parse_secret

log = structlog.get_logger(__name__)

_BACKOFF_INITIAL, _BACKOFF_MAX = 0.5, 3600.0  # seconds
_POLL_INTERVAL = 0.3  # seconds
_STOP_TIMEOUT = 2.0  # seconds, for events that are being sent


class EventDelivery:
    """One process' delivery of events."""

    def __init__(self, stop_event: ThreadingEvent) -> None:
        self._stop_event = stop_event
        self._circuit = Circuit()
        self._limit = settings.EVENT_WEBHOOK_CONCURRENCY
        secrets = [parse_secret(each) for each in settings.EVENT_WEBHOOK_SECRET]
        timeout = settings.EVENT_WEBHOOK_TIMEOUT
        self._receivers = [
            Receiver(settings.EVENT_WEBHOOK_URL, secrets, timeout) for _ in range(self._limit)
        ]
        self._idle = list(self._receivers)
        self._ended: SimpleQueue[tuple[Receiver, LeasedEvent, SendError | None]] = SimpleQueue()
        self._unrecorded: list[EventOutcome] = []
        self._may_be_due = True
        self._send_until = 0.0

    def run(self) -> None:
        """Runs until the event is set; retries while Postgres or the receiver is unavailable."""
        with ThreadPoolExecutor(self._limit) as executor:
            try:
                while not self._stop_event.is_set():
                    self._collect(_POLL_INTERVAL if self._is_idle() else 0.0)
                    self._deliver(executor)
                self._finish()
            finally:
                connections.close_all()  # this thread's

    def _is_idle(self) -> bool:
        """Returns whether there is nothing to do before an attempt ends, or the next poll."""
        return not (self._may_be_due and self._allowance())

    def _allowance(self) -> int:
        return self._circuit.allowance(self._limit - len(self._idle), self._limit)

    def _deliver(self, executor: ThreadPoolExecutor) -> None:
        """Records what has ended, and sends what is next."""
        try:
            with translate_database_errors():
                close_old_connections()
                # Before the leases begin: no attempt may begin so late that it outlasts its lease.
                self._send_until = time.monotonic() + settings.OUTBOX_LEASE.total_seconds()
                self._send(self._record(), executor)
                if allowance := self._allowance():
                    leased, self._may_be_due = event_leases.lease_due(allowance)
                    self._send(leased, executor)
        except ServiceUnavailable:
            self._may_be_due = False

    def _collect(self, timeout: float) -> None:
        """Waits for the end of an attempt, for that many seconds at most, and takes all that have
        ended; aborts those past their deadline.
        """
        try:
            while True:
                receiver, event, error = self._ended.get(timeout=timeout)
                self._idle.append(receiver)
                self._unrecorded.append(self._judge(event, error))
                timeout = 0.0
        except Empty:
            self._may_be_due |= timeout > 0
        now = time.monotonic()
        for receiver in self._receivers:
            receiver.abort_if_late(now)

    def _judge(self, event: LeasedEvent, error: SendError | None) -> EventOutcome:
        if error is None:
            self._circuit.succeed()
            return EventOutcome(event)
        retry_after: float | None = getattr(error, "retry_after", None)
        self._circuit.fail(error.code, retry_after)
        delay = retry_delay(
            event.attempts, retry_after, initial=_BACKOFF_INITIAL, maximum=_BACKOFF_MAX
        )
        return EventOutcome(event, error.code, delay)

    def _record(self) -> list[LeasedEvent]:
        """Records outcomes; returns the next events of people of whom one was finished, already
        leased: no more than there were outcomes.
        """
        if not (outcomes := self._unrecorded):
            return []
        recorded = event_leases.record(outcomes)
        self._unrecorded = []
        for _, state in recorded:
            EVENT_ATTEMPTS.labels("retried" if state == "pending" else state).inc()
        finished = {person_id for person_id, state in recorded if state != "pending"}
        next_people = list(finished)[: self._allowance()]
        return event_leases.lease_next(next_people) if next_people else []

    def _send(self, leased: list[LeasedEvent], executor: ThreadPoolExecutor) -> None:
        people = _find_profiles(leased)
        for event in leased:
            body = payload.render(event, people.get(event.person_id))
            attempt = executor.submit(
                self._attempt, self._idle.pop(), event, body, self._send_until
            )
            attempt.add_done_callback(_log_unexpected)

    def _attempt(self, receiver: Receiver, event: LeasedEvent, body: bytes, until: float) -> None:
        """Sends an event, unless its lease may end before the attempt does."""
        failure: SendError | None = TemporaryFailure("internal_error")
        try:
            if time.monotonic() >= until:
                raise TemporaryFailure("lease_expired")
            receiver.send(payload.webhook_id(event), body)
            failure = None
        except SendError as error:
            failure = error
        finally:
            self._ended.put((receiver, event, failure))

    def _finish(self) -> None:
        """Waits for the events that are being sent, and records what became of them."""
        deadline = time.monotonic() + _STOP_TIMEOUT
        while len(self._idle) < self._limit:
            if time.monotonic() > deadline:
                for receiver in self._receivers:
                    receiver.abort_if_late(float("inf"))
            self._collect(0.1)
        try:
            with translate_database_errors():
                event_leases.record(self._unrecorded)
        except ServiceUnavailable:
            log.warning("event_outcomes_not_recorded", count=len(self._unrecorded))


def _find_profiles(leased: Iterable[LeasedEvent]) -> dict[UUID, Person]:
    """Returns the people whose profiles are part of events: as they are now, without the erased."""
    if not settings.EVENT_WEBHOOK_PROFILE:
        return {}
    people = person_queries.get_people([event.person_id for event in leased])
    return {each.id: each for each in people if isinstance(each, Person)}


def _log_unexpected(attempt: Future[None]) -> None:
    if (error := attempt.exception()) is not None:
        log.error("event_attempt_failed", exc_info=error)
