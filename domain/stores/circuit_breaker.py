"""A circuit breaker: while a server does not respond, calls to it fail at once.

Without one each call waits for the whole timeout, and a few of them occupy all threads. Why no
library: pybreaker 1.4 holds its lock during the call, so that calls would run one at a time.
"""

from threading import Lock
from time import monotonic


class CircuitBreaker:
    """Opens for `cooldown` seconds after a timeout, then lets one trial call through.

    Callers check `allows` before a call and report its outcome to `record`. `trial_timeout`: the
    seconds after which a trial without an outcome is given up, and another one let through.
    """

    def __init__(self, cooldown: float, trial_timeout: float) -> None:
        self._cooldown = cooldown
        self._trial_timeout = trial_timeout
        self._lock = Lock()
        self._retry_at: float | None = None

    @property
    def is_closed(self) -> bool:
        """Whether calls pass, as an electrical breaker that is closed lets current pass."""
        return self._retry_at is None

    def allows(self) -> bool:
        """Returns whether a call may be made now; of an open breaker it is a trial."""
        with self._lock:
            if self._retry_at is None:
                return True
            now = monotonic()
            if now < self._retry_at:
                return False
            self._retry_at = now + self._trial_timeout
            return True

    def record(self, *, timed_out: bool) -> None:
        """Takes the outcome of a call. Any response, an error or a refusal too, closes."""
        if timed_out:
            with self._lock:
                self._retry_at = monotonic() + self._cooldown
        elif self._retry_at is not None:
            with self._lock:
                self._retry_at = None
