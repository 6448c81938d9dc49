"""`manage.py migrate` beside a service that runs: Django's, with time limits of its own.

An index of a large table takes longer than STATEMENT_TIMEOUT_MS. And a statement that waits for the
lock of a table keeps every later query of that table waiting: so it gives up soon, and is repeated.
"""

import random
import threading
from collections.abc import Callable
from typing import Any, override

import psycopg
from django.core.management.commands import migrate
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

_LOCK_TIMEOUT = "500ms"
# CONCURRENTLY waits for all transactions that use the table, and no query waits for it.
_CONCURRENT_LOCK_TIMEOUT = "10min"
_RETRYABLE = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
_MAX_TRIES = 30
_MAX_DELAY = 4.0  # seconds
_POOLED = (
    "DATABASE_URL leads to a connection pooler: the time limits of the role apply, which cancel the"
    " statements that take longer. Name Postgres itself for migrations of large tables."
)
_never_set = threading.Event()


class Command(migrate.Command):
    @override
    def handle(self, *args: Any, **options: Any) -> None:
        database = connections[options["database"]]
        if options["check_unapplied"] or options["plan"]:
            super().handle(*args, **options)
        elif _is_pooled(database):
            # In transaction mode a SET would reach other clients.
            self.stderr.write(_POOLED)
            super().handle(*args, **options)
        else:
            try:
                _set_limits(database)
                with database.execute_wrapper(_wait_longer_if_concurrent):
                    self._migrate(*args, **options)
            finally:
                database.close()  # the next connection has the limits of the settings

    def _migrate(self, *args: Any, **options: Any) -> None:
        for tries_left in reversed(range(_MAX_TRIES)):
            try:
                super().handle(*args, **options)
                return
            except OperationalError as error:
                if not (tries_left and isinstance(error.__cause__, _RETRYABLE)):
                    raise
            self.stderr.write(f"A table is locked; {tries_left} tries left.")
            _never_set.wait(random.uniform(0, _MAX_DELAY))  # noqa: S311  # jitter is no secret


def _is_pooled(database: BaseDatabaseWrapper) -> bool:
    """Returns whether a pooler lies between: it gives its clients process ids of its own."""
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return bool(cursor.fetchone()[0] != database.connection.info.backend_pid)


def _set_limits(database: BaseDatabaseWrapper) -> None:
    database.connection.response_timeout = None
    with database.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("SET idle_in_transaction_session_timeout = 0")
        cursor.execute(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")


def _wait_longer_if_concurrent(
    execute: Callable[..., object], sql: str, params: Any, many: bool, context: Any
) -> object:
    if " CONCURRENTLY " not in sql:
        return execute(sql, params, many, context)
    execute(f"SET lock_timeout = '{_CONCURRENT_LOCK_TIMEOUT}'", None, False, context)
    try:
        return execute(sql, params, many, context)
    finally:
        execute(f"SET lock_timeout = '{_LOCK_TIMEOUT}'", None, False, context)
