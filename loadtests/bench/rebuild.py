"""The rebuild of all profiles from Postgres in an empty Redis, during reads."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg
from redis import Redis

from domain.model.keyring import Keyring
from domain.model.person import Person
from loadtests import ISOLATED_ENV
from loadtests.bench.config import Config
from loadtests.bench.load import generator_argv
from loadtests.bench.paired_rounds import Target
from loadtests.bench.people import make_person
from loadtests.bench.report import Section
from loadtests.bench.servers import server_commands
from loadtests.bench.toolchain import ROOT, with_server_python
from local.processes import Process, StackError
from local.stack import Stack

_RATE = 1_000_000 / 30  # profiles per second
_READERS = 10_000  # people who are read during the rebuild
_READ_RATE = 500  # reads per second
_CLIENTS = 256  # connections: those with a cache miss wait for it
_TIMEOUT = 300.0  # seconds
# All people but the readers; Postgres generates them, without tokens.
_INSERT = """
    WITH person AS (
        INSERT INTO rollcall_person
            (id, name, surname, email, email_canonical, phone, hobbies, version)
        SELECT gen_random_uuid(), 'Ada', 'Lovelace the ' || n || 'th', address, address,
            '+346' || lpad(n::text, 8, '0'), (ARRAY['engines', 'poetry', 'whist'])[1:mod(n, 4)], 1
        FROM generate_series(%s::integer, %s::integer) AS n,
            format('ada-%%s@example.com', n) AS address
        RETURNING id
    )
    INSERT INTO rollcall_session (person_id, digest, expires_at)
    SELECT id, sha256(uuid_send(id)), now() + interval '30 days' FROM person
"""

_PERSON = ("id", "name", "surname", "email", "email_canonical", "phone", "hobbies", "version")
_SESSION = ("person_id", "digest", "expires_at")


def run(config: Config, folder: Path) -> list[Section]:
    """Inserts people, has them read, and times `manage.py profiles rebuild`."""
    with Stack(folder / "data", env=ISOLATED_ENV, commands=server_commands) as stack:
        env = stack.environment()
        tokens = insert(env["DATABASE_URL"], env["SECRET_KEY"], config.rebuild)
        lines = folder / "tokens"
        lines.write_text("\n".join(tokens))
        argv = generator_argv(
            "reads", stack.port, lines, connections=_CLIENTS, rate=_READ_RATE, seconds=_TIMEOUT
        )
        manage = [sys.executable, str(ROOT / "manage.py"), "profiles", "rebuild"]
        command = Process("rebuild", with_server_python(manage), folder / "rebuild.log", env=env)
        with Process("readers", argv, folder / "readers.log") as readers:
            started_at = time.monotonic()
            command.run(_TIMEOUT)
            seconds = time.monotonic() - started_at
            readers.stop()
            read = json.loads(readers.log_tail(1))
        with Redis.from_url(env["REDIS_URL"], socket_timeout=10) as redis:
            if (count := int(redis.dbsize())) < config.rebuild:
                raise StackError(f"only {count:,} of {config.rebuild:,} profiles were rebuilt")
    rate = config.rebuild / seconds
    reads = f"{read['requests']:,} reads meanwhile"
    return [
        Section(
            "Rebuild",
            [
                f"{config.rebuild:,} people in {seconds:.1f} s",
                f"{reads}: p99 {read['p99_ms']:.1f} ms, {read['failed']:,} not answered (503)",
            ],
            [Target("rebuild: profiles a second", rate, _RATE, at_least=True)],
            {"people": config.rebuild, "seconds": seconds, "reads": read},
        )
    ]


def insert(database_url: str, secret: str, count: int) -> list[str]:
    """Inserts people with a session each; returns the tokens of those who are read."""
    keys = Keyring([secret])
    made = [make_person(keys, number) for number in range(min(count, _READERS))]
    people = [person for person, _ in made]
    with psycopg.connect(database_url, autocommit=True) as connection:
        _copy(connection, "rollcall_person", _PERSON, people, _person_row)
        _copy(connection, "rollcall_session", _SESSION, people, _session_row)
        connection.execute(_INSERT, [len(people) + 1, count])
        connection.execute("VACUUM ANALYZE rollcall_person, rollcall_session")
    return [token for _, token in made]


def _copy(
    connection: psycopg.Connection,
    table: str,
    columns: Sequence[str],
    people: list[Person],
    row: Callable[[Person], tuple[object, ...]],
) -> None:
    statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
    with connection.cursor().copy(statement.encode()) as copy:
        for person in people:
            copy.write_row(row(person))


def _person_row(person: Person) -> tuple[object, ...]:
    email, phone = person.email, person.phone
    hobbies = list(person.hobbies)
    return person.id, person.name, person.surname, email, email, phone, hobbies, person.version


def _session_row(person: Person) -> tuple[object, ...]:
    (session,) = person.sessions
    return person.id, session.digest, session.expires_at
