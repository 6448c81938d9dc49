"""A stack on servers as managed services have them."""

from collections.abc import Iterator
from typing import NamedTuple

import psycopg
import pytest
from psycopg import sql

from local.postgres import Postgres
from local.stack import Stack
from tests.conftest import LONG
from tests.support.redis_users import ALLOWED, add_user, user_url
from tests.support.replicated_redis import Replicated
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
    """The stack, and the servers of its profiles and its queue, each with a replica."""

    stack: Stack
    profiles: Replicated
    queue: Replicated


@pytest.fixture(scope="session")
def managed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Managed]:
    """A stack on a database whose settings differ from all that the service relies on, and on Redis
    servers that can fail over, whose user has no more permissions than docs/operations.md names.
    """
    folder = tmp_path_factory.mktemp("managed")
    if not LONG:  # else the migrations run with these formats too
        copy_template(folder)
    with (
        Postgres(folder, durable=False) as postgres,
        Replicated(folder, "profiles") as profiles,
        Replicated(folder, "queue") as queue,
    ):
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            for name, value in FORMATS.items():
                statement = sql.SQL("ALTER DATABASE rollcall SET {} = {}")
                connection.execute(statement.format(sql.Identifier(name), sql.Literal(value)))
        env = {"DATABASE_URL": postgres.url, "HUEY_DASHBOARD": "true"}
        for name, redis in (("REDIS_URL", profiles), ("QUEUE_URL", queue)):
            add_user(redis, "allowed", ALLOWED)
            env[name] = user_url(redis, "allowed")
        with migrated_stack(folder / "stack", env, migrated=not LONG) as running:
            yield Managed(running, profiles, queue)
