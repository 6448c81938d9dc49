"""Deletes what has expired, in batches: each one is a short transaction.

Each kind of row has an index on the time that decides. A batch begins at the time at which the one
before ended, so that it does not read what that one has deleted, which Postgres keeps until no
transaction can see it. It skips rows that others have locked, and waits for none: no deadlock.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings

from domain.commands.ports import CommandResult
from domain.model.person import Tombstone
from domain.postgres import locks
from domain.postgres.erasure import erase_locked
from domain.postgres.repositories.sign_ups import KEY_LIFETIME
from domain.postgres.sliding_windows import WINDOW, ZERO
from domain.postgres.sql import fetch_all, fetch_one
from domain.postgres.statement_timeout import statement_timeout

_BATCH_SIZE = 5_000  # rows
_PEOPLE_BATCH_SIZE = 500  # each with some ten rows more
_STATEMENT_TIMEOUT = 30.0  # seconds; a batch takes a fraction of one
_SELECT = """
    SELECT {columns}, {time} AS time FROM rollcall_{table}
    WHERE {condition} AND {time} >= %(since)s AND {time} < now() - %(age)s
    ORDER BY {time} LIMIT %(limit)s FOR UPDATE SKIP LOCKED
"""
# The keys are passed to the indexes as a list, whatever the planner knows of the tables.
_DELETE = """
    WITH expired AS MATERIALIZED ({select}), entries AS ({delete_entries}), rows AS (
        DELETE FROM rollcall_{table} WHERE {id_column} = ANY(ARRAY(SELECT key FROM expired))
    ) SELECT count(*), max(time) FROM expired
"""
_DELETE_ENTRIES = "DELETE FROM rollcall_outboxentry WHERE {} = ANY(ARRAY(SELECT key FROM expired))"
_SELECT_UNVERIFIED = _SELECT.format(
    columns="id, version",
    time="created_at",
    table="person",
    condition="email_verified_at IS NULL AND phone_verified_at IS NULL",
)
_START = "-infinity"


class PurgeInProgress(Exception):
    """Another process purges."""


class Expiry(NamedTuple):
    """The rows of a table that are deleted at some `age` since `time`, by their `id_column`,
    together with the outbox entries that refer to them by a column.
    """

    table: str
    time: str
    age: timedelta = ZERO
    id_column: str = "id"
    entries_by: str = ""


def get_expiries() -> dict[str, Expiry]:
    """Returns what expires, but for people."""
    retention = settings.OUTBOX_RETENTION
    return {
        "outbox_entries": Expiry("outboxentry", "finished_at", retention),
        "events": Expiry("event", "finished_at", settings.EVENT_RETENTION),
        "sessions": Expiry("session", "expires_at"),
        "confirmations": Expiry(
            "confirmation", "superseded_at", retention, entries_by="confirmation_id"
        ),
        # Quotas count those of a day.
        "sign_in_challenges": Expiry(
            "signinchallenge", "created_at", WINDOW, entries_by="sign_in_id"
        ),
        "known_networks": Expiry("knownnetwork", "last_used_at", timedelta(days=90)),
        "idempotency_keys": Expiry("idempotencykey", "created_at", KEY_LIFETIME, "key_hash"),
        "rate_limit_windows": Expiry("ratelimitwindow", "expires_at", id_column="key"),
        "sms_prefix_stats": Expiry("smsprefixstats", "hour_start", timedelta(days=30)),
    }


def delete_batch(expiry: Expiry, since: datetime | None = None) -> tuple[int, datetime | None]:
    """Deletes the first rows that have expired, from a time on; returns how many, and the time from
    which on there may be more.

    Raises `PurgeInProgress`, and Django's database errors.
    """
    names = expiry._asdict()
    select = _SELECT.format(columns=f"{expiry.id_column} AS key", condition="true", **names)
    delete_entries = "SELECT"
    if expiry.entries_by:
        delete_entries = _DELETE_ENTRIES.format(expiry.entries_by)
    sql = _DELETE.format(select=select, delete_entries=delete_entries, **names)
    params = {"since": since or _START, "age": expiry.age, "limit": _BATCH_SIZE}
    with _batch():
        count, last = fetch_one(sql, params)
    return count, last if count == _BATCH_SIZE else None


def erase_unverified(
    since: datetime | None = None,
) -> tuple[list[CommandResult[Tombstone]], datetime | None]:
    """Erases the first people who have not verified an address in time, which may be another
    person's; as `delete_batch` does. Returns the results.

    No lock of an address is needed: a challenge has a person only if that one has verified an
    address, and who has ever verified one has a verified address from then on.
    """
    params = {"since": since or _START, "age": settings.UNVERIFIED_RETENTION}
    with _batch():
        rows = fetch_all(_SELECT_UNVERIFIED, params | {"limit": _PEOPLE_BATCH_SIZE})
        results = erase_locked({person_id: version for person_id, version, _ in rows})
    return results, rows[-1][2] if len(rows) == _PEOPLE_BATCH_SIZE else None


@contextmanager
def _batch() -> Iterator[None]:
    """Runs a transaction beside no other batch. Raises `PurgeInProgress` if there is one."""
    with statement_timeout(_STATEMENT_TIMEOUT):
        if not locks.try_lock_purge():
            raise PurgeInProgress
        yield
