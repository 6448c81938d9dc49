"""Statements that Postgres parses and plans once for each connection."""

from collections.abc import Mapping
from typing import Any, LiteralString

import psycopg
from django.db import connections


def execute_prepared(sql: LiteralString, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows that a statement returns, carried out on Django's connection.

    Django's own cursors write values into the statement, so that each is a new one to Postgres.
    Raises Django's errors.
    """
    connection = connections["default"]
    # What Django does before it makes one of its cursors.
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    with connection.wrap_database_errors:
        return psycopg.Cursor(connection.connection).execute(sql, params, prepare=True).fetchall()
