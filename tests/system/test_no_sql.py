"""Reads execute no SQL: Postgres logs every statement, and there is none."""

from collections.abc import Iterator

import psycopg
import pytest

from local.stack import Stack
from tests.support.client import ApiClient, SignedUpPerson, wait_until
from tests.support.faults import suspended


@pytest.fixture
def record_statements(stack: Stack, api: ApiClient):
    """Returns the statements that Postgres executed during a function, without relay and worker."""
    log = stack.data_dir / "logs" / "postgres.log"
    with (
        suspended(stack.services["relay"]),
        suspended(stack.services["worker"]),
        psycopg.connect(stack.environment()["DATABASE_URL"], autocommit=True) as database,
    ):

        def configure(statement: str) -> None:
            database.execute(statement)
            database.execute("SELECT pg_reload_conf()")

        def record(action) -> list[str]:
            database.execute("SELECT 'it begins'")
            action()
            database.execute("SELECT 'it ends'")
            wait_until(lambda: log.read_text().endswith("SELECT 'it ends'\n"))
            return list(get_statements_between(log.read_text().splitlines()))

        configure("ALTER SYSTEM SET log_statement = 'all'")
        wait_until(lambda: database.execute("SHOW log_statement").fetchone() == ("all",))
        yield record
        configure("ALTER SYSTEM RESET log_statement")


def get_statements_between(lines: list[str]) -> Iterator[str]:
    begin = max(n for n, line in enumerate(lines) if line.endswith("SELECT 'it begins'"))
    return (
        line for line in lines[begin + 1 : -1] if " LOG:  statement:" in line or "execute" in line
    )


def test_profile_reads_execute_no_sql_statement(record_statements, api: ApiClient):
    people: list[SignedUpPerson] = [api.sign_up() for _ in range(5)]
    assert record_statements(api.sign_up), "a sign-up is seen, so a read would be too"

    def read() -> None:
        for person in people * 20:
            assert person.profile().json() == person.body
        assert api.http.get("/api/v1/profile/").status_code == 401

    assert record_statements(read) == []
