"""Rate limits: how often something may happen, by Postgres' clock.

They are checked against the times of what is limited: the hits of a key, which has a row, or the
confirmations of an address.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models.functions import Now

from domain.model.address import Address, Channel
from domain.postgres import keyring
from domain.postgres.models import Confirmation, RateLimitWindow

WINDOW = timedelta(days=1)
ZERO = timedelta(0)

# Locks the row, also a new one. now() would be the start of the transaction: before the hits that
# were recorded while this one waited for the lock.
_LOCK_WINDOW = """
    INSERT INTO rollcall_ratelimitwindow AS t (key, hits) VALUES (%s, '{}')
    ON CONFLICT (key) DO UPDATE SET key = t.key RETURNING hits, clock_timestamp()
"""
_COUNT_HITS = """
    SELECT count(*) FROM rollcall_ratelimitwindow, unnest(hits) AS hit
    WHERE key = %s AND hit > now() - interval '24 hours'
"""


@dataclass(frozen=True, slots=True)
class RateLimit:
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


def hit(key: bytes, limit: RateLimit) -> timedelta:
    """Records a hit if the limit allows it, else returns the time until it does.

    Needs a transaction: the key's row is locked until its end.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_WINDOW, [key])
        hits, now = cursor.fetchone()
    retry_after = limit.retry_after(hits, now)
    if not retry_after:
        hits = [*hits, now][-limit.max_per_day :]  # older ones cannot matter
        RateLimitWindow.objects.filter(key=key).update(hits=hits)
    return retry_after


def count_hits(key: bytes) -> int:
    """Counts the hits of the last 24 hours."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT_HITS, [key])
        return int(cursor.fetchone()[0])


def reset(key: bytes) -> None:
    """Deletes the hits of a key."""
    RateLimitWindow.objects.filter(key=key).delete()


def confirmation_cooldown(
    person_id: UUID, channel: Channel, limit: RateLimit
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


def failed_attempts_key(person_id: UUID, channel: Channel) -> bytes:
    """Returns the key for a person's failed attempts on a channel."""
    return b"failed attempts:" + person_id.bytes + channel.encode()


def failed_sign_ins_key(address_hash: bytes) -> bytes:
    """Returns the key for the failed sign-in attempts of an address."""
    return b"failed sign-ins:" + address_hash


def messages_key(purpose: str, address: Address) -> bytes:
    """Returns the key for the messages to an address, separate for each purpose."""
    parts = (purpose, address.channel, address.canonical)
    return keyring.get_keyring().signing_key.mac(b"messages", *(part.encode() for part in parts))
