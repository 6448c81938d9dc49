"""Statements that Postgres parses and plans once for each connection."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from django.db import connection


@contextmanager
def prepared(sql: LiteralString, values: Mapping[str, Any]) -> Iterator[psycopg.Cursor[Any]]:
    """The cursor of a statement that was carried out on Django's connection.

    Django's own cursors write values into the statement, so that each is a new one to Postgres.
    Raises Django's errors.
    """
    # Making one of Django's cursors is what connects.
    with (
        connection.cursor(),
        connection.wrap_database_errors,
        psycopg.Cursor(connection.connection) as cursor,
    ):
        yield cursor.execute(sql, values, prepare=True)
