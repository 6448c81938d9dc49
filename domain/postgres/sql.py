"""Executes SQL on Django's connection, in the caller's transaction if there is one.

Raises Django's database errors.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection

type Params = Sequence[Any] | Mapping[str, Any]


def execute(sql: str, params: Params | None = None) -> int:
    """Executes a statement; returns how many rows it has changed."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)


def fetch_all(sql: str, params: Params | None = None) -> list[Any]:
    """Returns all rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        rows: list[Any] = cursor.fetchall()
        return rows


def fetch_one(sql: str, params: Params | None = None) -> Any:
    """Returns the first row of a query, None if there is none."""
    return next(iter(fetch_all(sql, params)), None)
