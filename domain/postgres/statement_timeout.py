"""Transactions with a statement timeout of their own, for work that no client waits for."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

from domain.postgres.sql import execute


@contextmanager
def statement_timeout(seconds: float) -> Iterator[None]:
    """Runs the block in a transaction whose statements may each take that many seconds.

    The client's deadline is a second longer, as in the settings, unless they have none. The timeout
    is the transaction's, so that PgBouncer gives it to no other client.
    """
    with transaction.atomic():
        milliseconds = str(int(seconds * 1000))
        execute("SELECT set_config('statement_timeout', %s, true)", [milliseconds])
        own = connection.connection
        response_timeout = own.response_timeout
        own.response_timeout = response_timeout and seconds + 1
        try:
            yield
        finally:
            own.response_timeout = response_timeout
