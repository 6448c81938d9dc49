"""When to retry what has failed: exponential backoff with jitter, or as a server asks."""

import random

MAX_RETRY_AFTER = 3600.0  # seconds


def retry_delay(
    attempts: int, retry_after: float | None, *, initial: float, maximum: float
) -> float:
    """Returns the seconds after which what has failed `attempts` times is retried: from `initial`
    on they double up to `maximum`; or at least `retry_after` if a server has named that, an hour at
    most.

    The jitter keeps what failed together from being retried together.
    """
    if retry_after is not None:
        return min(retry_after, MAX_RETRY_AFTER) * random.uniform(1, 1.5)  # noqa: S311  # no secret
    delay = min(initial * 2.0 ** min(attempts - 1, 16), maximum)
    return delay * random.uniform(0.5, 1)  # noqa: S311  # no secret
