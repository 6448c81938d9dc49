"""A stack on servers as managed services have them."""

from collections.abc import Iterator
from typing import NamedTuple

import psycopg
import pytest
from psycopg import sql

from local.postgres import Postgres
from local.servers import Valkey
from local.stack import Stack
from tests.conftest import LONG
from tests.support.redis_users import ALLOWED, add_user, user_url
from tests.support.stacks import copy_template, migrated_stack

FORMATS = {
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "iso_8601",
    "TimeZone": "Asia/Kathmandu",
    "standard_conforming_strings": "off",
    "default_transaction_isolation": "serializable",
    "bytea_output": "escape",
    "client_encoding": "LATIN1",
}


class Managed(NamedTuple):
    """The stack, and the Redis that has its profiles and its queue."""

    stack: Stack
    redis: Valkey


@pytest.fixture(scope="session")
def managed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Managed]:
    """A stack on a database whose settings differ from all that the service relies on, and on a
    Redis whose user has no more permissions than docs/operations.md names.
    """
    folder = tmp_path_factory.mktemp("managed")
    if not LONG:  # else the migrations run with these formats too
        copy_template(folder)
    with Postgres(folder, durable=False) as postgres, Valkey(folder, "profiles") as redis:
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            for name, value in FORMATS.items():
                statement = sql.SQL("ALTER DATABASE rollcall SET {} = {}")
                connection.execute(statement.format(sql.Identifier(name), sql.Literal(value)))
        add_user(redis, "allowed", ALLOWED)
        url = user_url(redis, "allowed")
        env = {"REDIS_URL": url, "QUEUE_URL": url.removesuffix("0") + "1"}
        env |= {"DATABASE_URL": postgres.url, "HUEY_DASHBOARD": "true"}
        with migrated_stack(folder / "stack", env, migrated=not LONG) as running:
            yield Managed(running, redis)
