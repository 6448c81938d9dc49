"""Statements that Postgres parses and plans once for each connection."""

from collections.abc import Mapping
from typing import Any, LiteralString

import psycopg
from django.db import connections


def execute_prepared(sql: LiteralString, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Executes a prepared statement on Django's connection; returns its rows.

    Django's own cursors interpolate parameters, so that each statement is a new one to Postgres.
    Raises Django's errors.
    """
    connection = connections["default"]
    # Django does this before it creates a cursor.
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    with connection.wrap_database_errors:
        return psycopg.Cursor(connection.connection).execute(sql, params, prepare=True).fetchall()
