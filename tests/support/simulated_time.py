"""Lets time pass for a whole service: moves all timestamps in its Postgres back."""

from datetime import timedelta
from typing import Any

from tests.support.client import wait_until

# `sessions.expires_at` stays: the profile Redis has it too.
_COLUMNS = {
    "person": (
        "created_at, email_verified_at, phone_verified_at, email_first_sign_in_at,"
        " phone_first_sign_in_at"
    ),
    "session": "created_at",
    "confirmation": (
        "created_at, first_attempted_at, superseded_at, confirmed_at, session_created_at"
    ),
    "signinchallenge": "created_at, first_attempted_at, superseded_at",
    "knownnetwork": "last_used_at",
    "idempotencykey": "created_at",
    "outboxentry": "created_at, due_at, finished_at",
    "smsprefixstats": "hour_start",
}
_SHIFT_HITS = """
    UPDATE rollcall_ratelimitwindow
    SET hits = ARRAY(SELECT hit - %(time)s FROM unnest(hits) AS hit ORDER BY 1)
"""
_COUNT_DUE = """
    SELECT count(*) FROM rollcall_outboxentry
    WHERE state IN ('queued', 'running') OR state = 'pending' AND due_at <= now()
"""
_CENTURY = timedelta(days=36_500)


class SimulatedTime:
    """The time of a service whose requests have been answered; `connection` is to its Postgres.

    Redis' own time is not moved: rate limits on requests are not part of what it simulates.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def settle(self) -> None:
        """Returns once the workers have processed all that is due."""
        wait_until(lambda: self._connection.execute(_COUNT_DUE).fetchone() == (0,), timeout=600)

    def advance(self, time: timedelta) -> None:
        """Lets time pass; what becomes due is processed."""
        self.settle()
        with self._connection.transaction():
            # Twice, because rows of hours must stay unique in between.
            self._shift(time + _CENTURY)
            self._shift(-_CENTURY)
        self.settle()

    def _shift(self, time: timedelta) -> None:
        parameters = {"time": time}
        for table, columns in _COLUMNS.items():
            changes = ", ".join(f"{name} = {name} - %(time)s" for name in columns.split(", "))
            self._connection.execute(f"UPDATE rollcall_{table} SET {changes}", parameters)
        self._connection.execute(_SHIFT_HITS, parameters)
