"""What happened how often during the last day, counted so that parallel requests cannot outrun it.

A tally is a row of its own for each subject; counting locks it until the transaction ends.
"""

from datetime import datetime, timedelta

from django.db import connection

from domain import limits
from domain.address import Address, Channel
from domain.limits import Rule
from domain.stores import keys
from domain.stores.models import Tally


def take(subject: bytes, rule: Rule) -> timedelta:
    """Count it once more if the rule lets it happen now, else return how long to wait.

    Needs a transaction.
    """
    moments, now = _locked(subject)
    wait = limits.wait(rule, moments, now)
    if not wait:
        moments = [*limits.recent(moments, now), now]
        Tally.objects.filter(subject=subject).update(moments=moments)
    return wait


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


def _locked(subject: bytes) -> tuple[list[datetime], datetime]:
    """The moments of a subject, whose row is locked from here on, and Postgres' time then."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO stores_tally VALUES (%s, '{}') ON CONFLICT DO NOTHING", [subject]
        )
        cursor.execute(
            "SELECT moments, clock_timestamp() FROM stores_tally WHERE subject = %s FOR UPDATE",
            [subject],
        )
        row = cursor.fetchone()
    return (row[0], row[1]) if row else _locked(subject)  # cleared between the two
