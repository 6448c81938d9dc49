"""What happened how often during the last day, counted so that parallel requests cannot outrun it.

A tally is a row of its own for each subject.
"""

from datetime import timedelta
from typing import Any

from django.db import connection

from domain import limits
from domain.address import Address, Channel
from domain.limits import RateLimit
from domain.stores import keys
from domain.stores.models import RateLimitWindow

# One statement, so that it costs one round trip; a tally that is full is left as it is. The rule is
# that of `domain.limits.wait`. now() would be when the transaction began: before others that were
# counted while this one waited for the row.
_HIT = """
    INSERT INTO stores_ratelimitwindow AS t (key, hits) VALUES (%(key)s, ARRAY[clock_timestamp()])
    ON CONFLICT (key) DO UPDATE SET hits = array(
        SELECT hit FROM unnest(t.hits) AS hit
        WHERE hit > now() - interval '24 hours' ORDER BY hit) || clock_timestamp()
    WHERE (
        SELECT count(*) < %(max_per_day)s AND coalesce(
            clock_timestamp() >= max(hit) + least(%(cooldown)s * 2 ^ (count(*) - 1), 86400)
                * interval '1 second', true)
        FROM unnest(t.hits) AS hit WHERE hit > now() - interval '24 hours')
    RETURNING true
"""
_SELECT_HITS = "SELECT hits, clock_timestamp() FROM stores_ratelimitwindow WHERE key = %s"


def hit(key: bytes, limit: RateLimit) -> timedelta:
    """Count it once more if the rule lets it happen now, else return how long to wait.

    Its row is locked until the transaction ends.
    """
    params: dict[str, Any] = {
        "key": key,
        "max_per_day": limit.max_per_day,
        "cooldown": limit.cooldown.total_seconds(),
    }
    with connection.cursor() as cursor:
        cursor.execute(_HIT, params)
        if cursor.fetchone():
            return limits.ZERO
        cursor.execute(_SELECT_HITS, [key])
        row = cursor.fetchone()
    # The least that can be told is a second: it may have changed between the two.
    retry_after = limits.retry_after(limit, row[0], row[1]) if row else limits.ZERO
    return max(retry_after, timedelta(seconds=1))


def count_hits(key: bytes) -> int:
    """How often it happened during the last 24 hours."""
    sql = """
        SELECT count(*) FROM stores_ratelimitwindow, unnest(hits) AS hit
        WHERE key = %s AND hit > now() - interval '24 hours'
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, [key])
        return int(cursor.fetchone()[0])


def reset(key: bytes) -> None:
    """Begin to count anew."""
    RateLimitWindow.objects.filter(key=key).delete()


def delete_expired() -> int:
    """Delete the tallies of what did not happen for a day; returns how many."""
    sql = """
        DELETE FROM stores_ratelimitwindow WHERE NOT EXISTS (
            SELECT FROM unnest(hits) AS hit WHERE hit > now() - interval '24 hours')
    """
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return int(cursor.rowcount)


def failed_attempts_key(person_id: bytes, channel: Channel) -> bytes:
    """The subject of wrong codes that a person typed for a channel."""
    return b"failed attempts:" + person_id + channel.encode()


def failed_sign_ins_key(address_hash: bytes) -> bytes:
    """The subject of wrong codes that were typed for an address."""
    return b"failed sign-ins:" + address_hash


def messages_key(purpose: str, address: Address) -> bytes:
    """The subject of messages to an address, apart for each purpose."""
    parts = (purpose, address.channel, address.canonical)
    return keys.get_keyring().signing_key.mac(b"messages", *(part.encode() for part in parts))
