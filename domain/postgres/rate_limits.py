"""Rate limits in Postgres, as sliding window logs, safe against concurrent requests.

Each key has a row.
"""

from datetime import timedelta
from typing import Any

from django.db import connection

from domain.model import rate_limit
from domain.model.address import Address, Channel
from domain.model.rate_limit import RateLimit
from domain.postgres import keyring
from domain.postgres.models import RateLimitWindow

# One statement, and so one round trip; it leaves a full window as it is. The limit is that of
# `domain.model.rate_limit.retry_after`. now() would be the start of the transaction: before hits
# that were recorded while this one waited for the row.
_HIT = """
    INSERT INTO rollcall_ratelimitwindow AS t (key, hits) VALUES (%(key)s, ARRAY[clock_timestamp()])
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
_SELECT_HITS = "SELECT hits, clock_timestamp() FROM rollcall_ratelimitwindow WHERE key = %s"


def hit(key: bytes, limit: RateLimit) -> timedelta:
    """Records a hit if the limit allows it, else returns the time until it does.

    Locks the key's row until the end of the transaction.
    """
    params: dict[str, Any] = {
        "key": key,
        "max_per_day": limit.max_per_day,
        "cooldown": limit.cooldown.total_seconds(),
    }
    with connection.cursor() as cursor:
        cursor.execute(_HIT, params)
        if cursor.fetchone():
            return rate_limit.ZERO
        cursor.execute(_SELECT_HITS, [key])
        row = cursor.fetchone()
    # At least a second: the row may have changed between the two statements.
    retry_after = rate_limit.retry_after(limit, row[0], row[1]) if row else rate_limit.ZERO
    return max(retry_after, timedelta(seconds=1))


def count_hits(key: bytes) -> int:
    """Counts the hits of the last 24 hours."""
    sql = """
        SELECT count(*) FROM rollcall_ratelimitwindow, unnest(hits) AS hit
        WHERE key = %s AND hit > now() - interval '24 hours'
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, [key])
        return int(cursor.fetchone()[0])


def reset(key: bytes) -> None:
    """Deletes the hits of a key."""
    RateLimitWindow.objects.filter(key=key).delete()


def delete_expired() -> int:
    """Deletes the windows without a hit in the last 24 hours; returns how many."""
    sql = """
        DELETE FROM rollcall_ratelimitwindow WHERE NOT EXISTS (
            SELECT FROM unnest(hits) AS hit WHERE hit > now() - interval '24 hours')
    """
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return int(cursor.rowcount)


def failed_attempts_key(person_id: bytes, channel: Channel) -> bytes:
    """Returns the key for a person's failed attempts on a channel."""
    return b"failed attempts:" + person_id + channel.encode()


def failed_sign_ins_key(address_hash: bytes) -> bytes:
    """Returns the key for the failed sign-in attempts of an address."""
    return b"failed sign-ins:" + address_hash


def messages_key(purpose: str, address: Address) -> bytes:
    """Returns the key for the messages to an address, separate for each purpose."""
    parts = (purpose, address.channel, address.canonical)
    return keyring.get_keyring().signing_key.mac(b"messages", *(part.encode() for part in parts))
