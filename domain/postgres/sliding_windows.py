"""Sliding windows: how often something may happen in a day, by Postgres' clock. What quotas,
cooldowns and failed attempts are counted by; requests have rate limits in Redis instead, see
`api.writes.rate_limiting`.

They are checked against the times of what is limited: the hits of a key, which has a row, or the
confirmations of an address.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models.functions import Now

from domain.model.address import Channel
from domain.postgres import keyring
from domain.postgres.models import Confirmation
from domain.postgres.sql import execute, fetch_all, fetch_one

WINDOW = timedelta(days=1)
ZERO = timedelta(0)

# Locks the rows, also new ones, in one order. now() would be the start of the transaction: before
# the hits that were recorded while this one waited for the lock.
_LOCK_WINDOWS = """
    INSERT INTO rollcall_ratelimitwindow AS t (key, hits, expires_at)
    SELECT key, '{}', date_trunc('minute', now()) + interval '1 day 1 minute'
    FROM unnest(%s::bytea[]) AS key ORDER BY key
    ON CONFLICT (key) DO UPDATE SET key = t.key RETURNING key, hits, clock_timestamp()
"""
_APPEND = """
    UPDATE rollcall_ratelimitwindow
    SET hits = (hits || hit)[greatest(1, cardinality(hits) + 2 - %s):],
        expires_at = date_trunc('minute', hit) + interval '1 day 1 minute'
    FROM (VALUES (%s)) AS now (hit) WHERE key = %s
"""
_COUNT_HITS = """
    SELECT count(*) FROM rollcall_ratelimitwindow, unnest(hits) AS hit
    WHERE key = ANY(%s) AND hit > now() - interval '24 hours'
"""
_DROP_LAST = """
    UPDATE rollcall_ratelimitwindow SET hits = hits[:cardinality(hits) - 1] WHERE key = %s
"""
_FAILURES_KEPT = 40  # of an address; more than count


@dataclass(frozen=True, slots=True)
class WindowLimit:
    """At most `max_per_day` times in any 24 hours; `cooldown` after the first time, and twice as
    long after each further one.
    """

    max_per_day: int
    cooldown: timedelta = ZERO

    def retry_after(self, times: Sequence[datetime], now: datetime) -> timedelta:
        """Returns the time until the limit allows another one (zero: now).

        `times` are in ascending order; those older than 24 hours are ignored.
        """
        recent = [time for time in times if time > now - WINDOW]
        allowed_at = [now]
        if recent:
            cooldown = min(self.cooldown * 2 ** min(len(recent) - 1, 16), WINDOW)
            allowed_at.append(recent[-1] + cooldown)
        if len(recent) >= self.max_per_day:
            allowed_at.append(recent[-self.max_per_day] + WINDOW)
        return max(allowed_at) - now


def message_limit() -> WindowLimit:
    """Returns the limit of messages to one address on request of one network."""
    return WindowLimit(settings.MESSAGES_PER_NETWORK_PER_DAY, settings.MESSAGE_COOLDOWN)


def hit(keys: Sequence[bytes], limit: WindowLimit) -> timedelta:
    """Records a hit if the limit allows it, else returns the time until it does.

    `keys` are what is limited, hashed with every server key, the signing key first. Needs a
    transaction: their rows are locked until its end.
    """
    hits, now = _lock(keys)
    retry_after = limit.retry_after(sorted(hits), now)
    if not retry_after:
        execute(_APPEND, [limit.max_per_day, now, keys[0]])  # older ones cannot matter
    return retry_after


def record_failure(address_hashes: Sequence[bytes]) -> None:
    """Records a wrong code for an address (or one that is not compared yet): it never refuses."""
    keys = _failure_keys(address_hashes)
    _, now = _lock(keys)
    execute(_APPEND, [_FAILURES_KEPT, now, keys[0]])


def take_back_failure(address_hashes: Sequence[bytes]) -> None:
    """Takes the last failure back: the code was right."""
    execute(_DROP_LAST, [_failure_keys(address_hashes)[0]])


def count_failures(address_hashes: Sequence[bytes]) -> int:
    """Counts the failures of the last 24 hours."""
    (count,) = fetch_one(_COUNT_HITS, [_failure_keys(address_hashes)])
    return int(count)


def _lock(keys: Sequence[bytes]) -> tuple[list[datetime], datetime]:
    """Locks the windows of these keys; returns their hits and the current time."""
    rows = fetch_all(_LOCK_WINDOWS, [list(keys)])
    return [hit for _, hits, _ in rows for hit in hits], max(now for _, _, now in rows)


def confirmation_cooldown(
    person_id: UUID, channel: Channel, limit: WindowLimit
) -> tuple[timedelta, datetime]:
    """Returns the time until the limit allows another confirmation of a person's address (zero:
    now), and the current time.
    """
    rows = Confirmation.objects.filter(person_id=person_id, channel=channel).annotate(now=Now())
    created = list(rows.order_by("id").values_list("created_at", "now"))
    now = created[0][1] if created else datetime.now(UTC)
    return limit.retry_after([created_at for created_at, _ in created], now), now


def ceil_seconds(duration: timedelta) -> int:
    """Rounds up to whole seconds, at least 1: for `Retry-After`."""
    return max(1, -(-duration // timedelta(seconds=1)))


def window_keys(purpose: str, *parts: bytes) -> list[bytes]:
    """Returns the keys of a limited thing, by every server key, the signing key's first."""
    return keyring.get_keyring().macs_with_all_keys(purpose.encode(), *parts)


def _failure_keys(address_hashes: Sequence[bytes]) -> list[bytes]:
    return [b"failures:" + address_hash for address_hash in address_hashes]
