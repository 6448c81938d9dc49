"""What happened how often during the last day, counted so that parallel requests cannot outrun it.

A tally is a row of its own for each subject.
"""

from datetime import timedelta
from typing import Any

from django.db import connection

from domain import limits
from domain.address import Address, Channel
from domain.limits import Rule
from domain.stores import keys
from domain.stores.models import Tally

# One statement, so that it costs one round trip; a tally that is full is left as it is. The rule is
# that of `domain.limits.wait`. now() would be when the transaction began: before others that were
# counted while this one waited for the row.
_TAKE = """
    INSERT INTO stores_tally AS t (subject, moments) VALUES (%(subject)s, ARRAY[clock_timestamp()])
    ON CONFLICT (subject) DO UPDATE SET moments = array(
        SELECT moment FROM unnest(t.moments) AS moment
        WHERE moment > now() - interval '24 hours' ORDER BY moment) || clock_timestamp()
    WHERE (
        SELECT count(*) < %(most)s AND coalesce(
            clock_timestamp() >= max(moment) + least(%(pause)s * 2 ^ (count(*) - 1), 86400)
                * interval '1 second', true)
        FROM unnest(t.moments) AS moment WHERE moment > now() - interval '24 hours')
    RETURNING true
"""
_LOOK = "SELECT moments, clock_timestamp() FROM stores_tally WHERE subject = %s"


def take(subject: bytes, rule: Rule) -> timedelta:
    """Count it once more if the rule lets it happen now, else return how long to wait.

    Its row is locked until the transaction ends.
    """
    values: dict[str, Any] = {
        "subject": subject,
        "most": rule.most,
        "pause": rule.pause.total_seconds(),
    }
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, values)
        if cursor.fetchone():
            return limits.NO_TIME
        cursor.execute(_LOOK, [subject])
        row = cursor.fetchone()
    # The least that can be told is a second: it may have changed between the two.
    wait = limits.wait(rule, row[0], row[1]) if row else limits.NO_TIME
    return max(wait, timedelta(seconds=1))


def count(subject: bytes) -> int:
    """How often it happened during the last 24 hours."""
    sql = """
        SELECT count(*) FROM stores_tally, unnest(moments) AS moment
        WHERE subject = %s AND moment > now() - interval '24 hours'
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, [subject])
        return int(cursor.fetchone()[0])


def clear(subject: bytes) -> None:
    """Begin to count anew."""
    Tally.objects.filter(subject=subject).delete()


def purge() -> int:
    """Delete the tallies of what did not happen for a day; returns how many."""
    sql = """
        DELETE FROM stores_tally WHERE NOT EXISTS (
            SELECT FROM unnest(moments) AS moment WHERE moment > now() - interval '24 hours')
    """
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return int(cursor.rowcount)


def failures(person_id: bytes, channel: Channel) -> bytes:
    """The subject of wrong codes that a person typed for a channel."""
    return b"failures:" + person_id + channel.encode()


def sign_in_failures(address_hash: bytes) -> bytes:
    """The subject of wrong codes that were typed for an address."""
    return b"sign-in failures:" + address_hash


def messages(purpose: str, address: Address) -> bytes:
    """The subject of messages to an address, apart for each purpose."""
    parts = (purpose, address.channel, address.key)
    return keys.ring().current.mac(b"messages", *(part.encode() for part in parts))
