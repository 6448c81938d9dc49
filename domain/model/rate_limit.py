"""Rate limits: pure functions over the timestamps of what is limited."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

WINDOW = timedelta(days=1)
ZERO = timedelta(0)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `max_per_day` times in any 24 hours; `cooldown` after the first time, and twice as
    long after each further one.
    """

    max_per_day: int
    cooldown: timedelta = ZERO


def within_window(timestamps: Sequence[datetime], now: datetime) -> list[datetime]:
    """Returns the timestamps of the last 24 hours, in their order."""
    return [timestamp for timestamp in timestamps if timestamp > now - WINDOW]


def retry_after(limit: RateLimit, timestamps: Sequence[datetime], now: datetime) -> timedelta:
    """Returns the time until the limit allows another one (zero: now).

    `timestamps` are in ascending order; those older than 24 hours are ignored.
    """
    recent = within_window(timestamps, now)
    allowed_at = [now]
    if recent:
        allowed_at.append(recent[-1] + limit.cooldown * 2 ** min(len(recent) - 1, 16))
    if len(recent) >= limit.max_per_day:
        allowed_at.append(recent[-limit.max_per_day] + WINDOW)
    return max(allowed_at) - now


def ceil_seconds(duration: timedelta) -> int:
    """Rounds up to whole seconds, at least 1: for `Retry-After`."""
    return max(1, -(-duration // timedelta(seconds=1)))
