"""Races that are made to happen: writes to a table wait until the test lets them go on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from local.stack import Stack


@contextmanager
def block_writes(stack: Stack, table: str) -> Iterator[Callable[..., int]]:
    """Has all writes to a table wait until the end of the block; reads of it go on.

    Yields a function that returns how many transactions wait for that table, or for any advisory
    lock: `count_waiting("advisory")`.
    """
    url = stack.environment()["DATABASE_URL"]
    with psycopg.connect(url) as blocker, psycopg.connect(url, autocommit=True) as watcher:

        def count_waiting(locktype: str = "relation") -> int:
            rows = watcher.execute(
                "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted AND locktype = %s"
                " AND (relation = %s::regclass OR relation IS NULL)",
                [locktype, table],
            )
            return int(rows.fetchall()[0][0])

        blocker.execute(f"LOCK TABLE {table} IN SHARE MODE")
        yield count_waiting
