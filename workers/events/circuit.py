"""When to deliver events: not while the receiver does not accept any."""

import random
import time

import structlog

log = structlog.get_logger(__name__)

THRESHOLD = 10  # failures in a row
_FIRST_PAUSE, _MAX_PAUSE = 1.0, 60.0
_MAX_RETRY_AFTER = 600.0
_GONE_PAUSE = 3600.0


class Circuit:
    """Opens after failures in a row; then one event at a time is tried, after pauses that grow to a
    minute, until one is accepted. The receiver may ask for a pause of its own.

    Not `domain.circuit_breaker`: that one probes every half second by a call without effect, and a
    webhook has none.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._paused_until = 0.0

    @property
    def is_open(self) -> bool:
        """Returns whether at most one event may be on its way."""
        return self._failures >= THRESHOLD

    def allowance(self, in_flight: int, limit: int) -> int:
        """Returns how many more events may be sent now."""
        if time.monotonic() < self._paused_until:
            return 0
        return max(0, (1 if self.is_open else limit) - in_flight)

    def succeed(self) -> None:
        """Closes the circuit."""
        if self.is_open:
            log.info("event_receiver_recovered")
        self._failures, self._paused_until = 0, 0.0

    def fail(self, reason: str, retry_after: float | None) -> None:
        """Counts a failure, or a request to wait."""
        now = time.monotonic()
        if now < self._paused_until:
            return  # it was on its way when the circuit opened
        self._failures += 1
        pause = 0.0
        if self.is_open:
            pause = min(_FIRST_PAUSE * 2 ** min(self._failures - THRESHOLD, 16), _MAX_PAUSE)
            pause *= random.uniform(0.5, 1)  # noqa: S311  # jitter is no secret
        if reason in ("status_429", "status_503") and retry_after:
            pause = max(pause, min(retry_after, _MAX_RETRY_AFTER))
        if reason == "status_410":  # Standard Webhooks: stop sending
            self._failures, pause = max(self._failures, THRESHOLD), _GONE_PAUSE
        self._paused_until = now + pause
        if self.is_open:
            log.warning("event_receiver_unavailable", reason=reason, pause=round(pause, 1))
