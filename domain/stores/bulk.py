"""Many people at once: read from Postgres while others are worked on, asked of Redis in one go."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from hashlib import sha1
from itertools import chain
from typing import Any
from uuid import UUID

import hiredis
from django.conf import settings
from django.db import connections
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from domain import profile
from domain.person import Person, Tombstone
from domain.stores import people

PAGE_SIZE = 2_000  # people; a page and its hashes take some 5 MB
_TIMEOUT = 10.0  # seconds; Redis may be held up by a disk that is busy with what it is given

type Command = tuple[str | bytes | int, ...]


def iter_people_pages(after: UUID) -> Iterator[list[Person | Tombstone]]:
    """Everybody with an id above `after`, in the order of ids; the next page is read meanwhile.

    Raises Django's `OperationalError` and `InterfaceError` when Postgres is away.
    """
    with _database_thread() as executor:
        next_page = executor.submit(people.list_people_after, after, PAGE_SIZE)
        while page := next_page.result():
            next_page = executor.submit(people.list_people_after, page[-1].id, PAGE_SIZE)
            yield page


def id_fraction(person_id: UUID) -> float:
    """How much of everybody comes up to that id: ids are random (RFC 9562, version 4)."""
    return person_id.int / (1 << 128)


@cache
def get_bulk_client() -> Redis:
    """The profile Redis, for whoever can wait: it may be busy for long. Nothing is sent twice."""
    return Redis.from_url(
        settings.REDIS_URL,
        protocol=3,
        socket_connect_timeout=2,
        socket_timeout=_TIMEOUT,
        retry=Retry(NoBackoff(), 0),
    )


def execute_pipeline(commands: Iterable[Command], client: Redis | None = None) -> list[Any]:
    """The replies to these commands, in order; all of them are sent before the first is read.

    A third of the CPU time of redis-py's pipeline. `over`: whose connection, if not `redis()`'s.
    Raises `RedisError` when Redis is away, and for the first reply that is an error.
    """
    packed = [hiredis.pack_command(command) for command in commands]  # type: ignore[arg-type]  # its stub: one word
    if not packed:
        return []
    pool = (client or get_bulk_client()).connection_pool
    connection: Any = pool.get_connection()
    try:
        connection.send_packed_command([b"".join(packed)])
        return [connection.read_response() for _ in packed]
    except BaseException:
        connection.disconnect()  # replies that nobody has read would be taken for later ones
        raise
    finally:
        pool.release(connection)


def run_script(
    script: str, calls: Iterable[tuple[str, list[bytes]]], client: Redis | None = None
) -> list[int]:
    """What a Lua script says to each of `calls`: a key, and arguments. Raises as `ask` does.

    It is loaded each time: Redis may have been restarted since.
    """
    sha = sha1(script.encode(), usedforsecurity=False).hexdigest()
    commands: list[Command] = [("EVALSHA", sha, 1, key, *arguments) for key, arguments in calls]
    return execute_pipeline([("SCRIPT", "LOAD", script), *commands], client)[1:] if commands else []


def create_hashes(hashes: Iterable[tuple[str, dict[bytes, bytes]]]) -> list[int]:
    """Write each of these hashes (key, fields) of which no field stands; 1 for each that was.

    One command of Redis itself, whole or nothing, at half of what a script costs it. Raises as
    `ask` does, with `ResponseError` before Valkey 9 and Redis 8, which do not know it.
    """
    return execute_pipeline(
        ("HSETEX", key, "FNX", "FIELDS", len(fields), *chain.from_iterable(fields.items()))
        for key, fields in hashes
    )


def get_hashes(ids: Sequence[UUID]) -> list[dict[bytes, bytes]]:
    """The whole profile hashes of these people, {} where there is none. Raises as `ask` does."""
    return execute_pipeline([("HGETALL", profile.redis_key(person_id)) for person_id in ids])


@contextmanager
def _database_thread() -> Iterator[ThreadPoolExecutor]:
    """A thread that may use Postgres, over a connection of its own."""
    with ThreadPoolExecutor(1) as executor:
        try:
            yield executor
        finally:
            executor.submit(connections.close_all).result()
