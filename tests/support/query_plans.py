"""The plans by which Postgres has executed statements: `auto_explain` logs them."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from tests.support.client import wait_until

# Of the server. Nested statements are those of foreign keys.
OPTIONS = {
    "shared_preload_libraries": "auto_explain",
    "auto_explain.log_format": "json",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
}
_PLAN = re.compile(r"LOG:  duration: ([0-9.]+) ms  plan:\n((?:\t.*\n)+)")


class Scan(NamedTuple):
    """How a statement has read a table: by which kind of scan, and how many rows."""

    table: str
    kind: str
    rows: int
    statement: str


class Plan(NamedTuple):
    """A statement, the milliseconds that it took, and its scans."""

    statement: str
    duration: float
    scans: list[Scan]


def record(
    database_url: str, log: Path, action: Callable[[], object], **options: str
) -> list[Plan]:
    """Runs a function; returns the plans of all statements that Postgres executed until its end.

    `options` of the server are set during that time.
    """
    changes = {"auto_explain.log_min_duration": "0", **options}
    with psycopg.connect(database_url, autocommit=True) as connection:
        start = log.stat().st_size
        try:
            for name, value in changes.items():
                connection.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
            connection.execute("SELECT pg_reload_conf()")
            wait_until(lambda: connection.execute("SELECT 1") and log.stat().st_size > start + 500)
            action()
        finally:
            for name in changes:
                connection.execute(f"ALTER SYSTEM RESET {name}".encode())
            connection.execute("SELECT pg_reload_conf()")
    with log.open() as file:
        file.seek(start)
        return [_parse(*match) for match in _PLAN.findall(file.read())]


def _parse(duration: str, text: str) -> Plan:
    document = json.loads(text)
    statement = " ".join(document["Query Text"].split())
    return Plan(statement, float(duration), [*_iter_scans(document["Plan"], statement)])


def _iter_scans(node: dict[str, Any], statement: str) -> Iterator[Scan]:
    if "Scan" in node["Node Type"] and "Relation Name" in node:
        read = node["Actual Rows"] + sum(
            count for name, count in node.items() if name.startswith("Rows Removed by")
        )
        rows = round(read * node["Actual Loops"])
        yield Scan(node["Relation Name"], node["Node Type"], rows, statement)
    for child in node.get("Plans", []):
        yield from _iter_scans(child, statement)
