"""When a request that may be repeated is sent again."""

import random
from dataclasses import dataclass

from rollcall_client.errors import NoResponse, RollcallError


@dataclass(frozen=True)
class Retry:
    """Bounds for the repetitions of one call: at most `attempts` requests, the last one begun
    within `total` seconds. `attempts=1` repeats nothing.
    """

    attempts: int = 4
    total: float = 30.0

    def delay(self, attempt: int, elapsed: float, error: RollcallError) -> float | None:
        """Returns the seconds until the next request, None if there is none.

        `attempt` counts from 1; `elapsed` are the seconds since the first one began.
        """
        is_temporary = (
            error.status == 503
            or isinstance(error, NoResponse)
            or error.code == "idempotency_in_progress"  # the request whose connection was lost
        )
        if attempt >= self.attempts or not is_temporary:
            return None
        # All clients lose their connections at the same moment: they must not all return at one.
        backoff = random.uniform(0.5, 1) * 0.2 * 2**attempt  # noqa: S311  # no secret
        wait = backoff if error.retry_after is None else error.retry_after
        return wait if elapsed + wait <= self.total else None


DEFAULT_RETRY = Retry()
