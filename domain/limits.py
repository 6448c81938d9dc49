"""How often something may happen: a pure rule over the moments at which it did."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

WINDOW = timedelta(days=1)
ZERO = timedelta(0)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `most` times in any 24 hours; after the first time `pause` must pass, after each
    further one twice as long as before.
    """

    max_per_day: int
    cooldown: timedelta = ZERO


def within_window(timestamps: Sequence[datetime], now: datetime) -> list[datetime]:
    """Those moments that a rule still looks at, in their order."""
    return [timestamp for timestamp in timestamps if timestamp > now - WINDOW]


def retry_after(limit: RateLimit, timestamps: Sequence[datetime], now: datetime) -> timedelta:
    """How long to wait until it may happen again (zero: not at all).

    `moments` are in order of time; those older than a day do not matter.
    """
    recent = within_window(timestamps, now)
    allowed_at = [now]
    if recent:
        allowed_at.append(recent[-1] + limit.cooldown * 2 ** min(len(recent) - 1, 16))
    if len(recent) >= limit.max_per_day:
        allowed_at.append(recent[-limit.max_per_day] + WINDOW)
    return max(allowed_at) - now


def ceil_seconds(duration: timedelta) -> int:
    """Whole seconds, rounded up, at least 1: for `Retry-After`."""
    return max(1, -(-duration // timedelta(seconds=1)))
