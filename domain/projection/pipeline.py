"""Bulk access: pages of people, read ahead from Postgres, and batches of Redis commands."""

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
from domain.model.person import Person, Tombstone
from domain.postgres import person_queries

PAGE_SIZE = 2_000  # people; a page and its hashes take some 5 MB
_TIMEOUT = 10.0  # seconds; Redis may block on a slow disk

type Command = tuple[str | bytes | int, ...]


def iter_people_pages(after: UUID) -> Iterator[list[Person | Tombstone]]:
    """Yields the people with an id above `after`, in order, by pages; reads one page ahead.

    Raises Django's `OperationalError` and `InterfaceError` when Postgres is unavailable.
    """
    with _database_thread() as executor:
        next_page = executor.submit(person_queries.list_people_after, after, PAGE_SIZE)
        while page := next_page.result():
            next_page = executor.submit(person_queries.list_people_after, page[-1].id, PAGE_SIZE)
            yield page


def id_fraction(person_id: UUID) -> float:
    """Returns the fraction of all ids up to that one: ids are random (RFC 9562, version 4)."""
    return person_id.int / (1 << 128)


@cache
def get_bulk_client() -> Redis:
    """Returns a client of the profile Redis with a long timeout and without retries."""
    return Redis.from_url(
        settings.REDIS_URL,
        protocol=3,
        socket_connect_timeout=2,
        socket_timeout=_TIMEOUT,
        retry=Retry(NoBackoff(), 0),
    )


def execute_pipeline(commands: Iterable[Command], client: Redis | None = None) -> list[Any]:
    """Sends all commands before it reads the first reply; returns the replies in order.

    Takes a third of the CPU time of redis-py's pipeline. `client`: default `get_bulk_client()`.
    Raises `RedisError` when Redis is unavailable, and for the first reply that is an error.
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
        connection.disconnect()  # unread replies would be taken for those of later commands
        raise
    finally:
        pool.release(connection)


def run_script(
    script: str, calls: Iterable[tuple[str, list[bytes]]], client: Redis | None = None
) -> list[int]:
    """Runs a Lua script for each of `calls` (a key and arguments); returns the results.

    Loads it each time: Redis may have been restarted. Raises as `execute_pipeline` does.
    """
    sha = sha1(script.encode(), usedforsecurity=False).hexdigest()
    commands: list[Command] = [("EVALSHA", sha, 1, key, *arguments) for key, arguments in calls]
    return execute_pipeline([("SCRIPT", "LOAD", script), *commands], client)[1:] if commands else []


def create_hashes(hashes: Iterable[tuple[str, dict[bytes, bytes]]]) -> list[int]:
    """Writes each of these hashes (key, fields) unless one of its fields exists; 1 for each
    written.

    One atomic command of Redis, at half the cost of a script. Raises as `execute_pipeline` does,
    with `ResponseError` before Valkey 9 and Redis 8, which lack it.
    """
    return execute_pipeline(
        ("HSETEX", key, "FNX", "FIELDS", len(fields), *chain.from_iterable(fields.items()))
        for key, fields in hashes
    )


def get_hashes(ids: Sequence[UUID]) -> list[dict[bytes, bytes]]:
    """Returns the profile hashes, {} where there is none. Raises as `execute_pipeline` does."""
    return execute_pipeline([("HGETALL", profile.redis_key(person_id)) for person_id in ids])


@contextmanager
def _database_thread() -> Iterator[ThreadPoolExecutor]:
    """Yields a thread that may use Postgres, over its own connection."""
    with ThreadPoolExecutor(1) as executor:
        try:
            yield executor
        finally:
            executor.submit(connections.close_all).result()
