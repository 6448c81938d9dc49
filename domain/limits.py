"""How often something may happen: a pure rule over the moments at which it did."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

DAY = timedelta(days=1)
NO_TIME = timedelta(0)


@dataclass(frozen=True, slots=True)
class Rule:
    """At most `most` times in any 24 hours; after the first time `pause` must pass, after each
    further one twice as long as before.
    """

    most: int
    pause: timedelta = NO_TIME


def recent(moments: Sequence[datetime], now: datetime) -> list[datetime]:
    """Those moments that a rule still looks at, in their order."""
    return [moment for moment in moments if moment > now - DAY]


def wait(rule: Rule, moments: Sequence[datetime], now: datetime) -> timedelta:
    """How long to wait until it may happen again (zero: not at all).

    `moments` are in order of time; those older than a day do not matter.
    """
    last_day = recent(moments, now)
    free_at = [now]
    if last_day:
        free_at.append(last_day[-1] + rule.pause * 2 ** min(len(last_day) - 1, 16))
    if len(last_day) >= rule.most:
        free_at.append(last_day[-rule.most] + DAY)
    return max(free_at) - now


def seconds(time: timedelta) -> int:
    """Whole seconds, rounded up, at least 1: for `Retry-After`."""
    return max(1, -(-time // timedelta(seconds=1)))
