"""Searches everything that the service keeps for personal data: every table, key, queue and log."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import psycopg
import redis
from psycopg import sql

from local.stack import Stack

type Places = dict[str, set[str]]  # where each of the needles is found
_TABLES = """
    SELECT relnamespace::regnamespace::text, relname FROM pg_class
    WHERE relkind IN ('r', 'm') ORDER BY 1, 2
"""
_HASHES = ("md5", "sha1", "sha256")
_FILES = ("logs/*.log", "metrics/*")


def spell(value: str, *more: str) -> set[bytes]:
    """Returns the forms in which a text may be stored: as it is, in lower case, in JSON, in hex as
    a `bytea` is written, and its hashes without a key, in binary and in hex.
    """
    texts = {each for text in (value, *more) for each in (text, text.lower())}
    encoded = {text.encode() for text in texts}
    digests = {hashlib.new(name, text).digest() for text in encoded for name in _HASHES}
    in_json = {json.dumps(text)[1:-1].encode() for text in texts}
    binary = encoded | digests
    return binary | in_json | {each.hex().encode() for each in binary}


def spell_id(person_id: UUID) -> set[bytes]:
    """Returns the forms in which an id may be stored."""
    return {str(person_id).encode(), person_id.hex.encode(), person_id.bytes}


class Search:
    """Searches a service for the same needles, at several times.

    Most of what it has never changes, above all the catalog of Postgres: what was found in the same
    text before is known.
    """

    def __init__(self, stack: Stack, needles: dict[str, set[bytes]]) -> None:
        self._stack, self._needles = stack, needles
        self._found_in: dict[bytes, list[str]] = {}  # by the hash of a text

    def run(self) -> Places:
        """Returns where each of the needles is found now: tables, Redis keys, files."""
        found: Places = {name: set() for name in self._needles}
        for place, content in _contents(self._stack):
            for name in self._find_in(content):
                found[name].add(place)
        return found

    def _find_in(self, content: bytes) -> list[str]:
        digest = hashlib.sha256(content).digest()
        if digest not in self._found_in:
            self._found_in[digest] = [
                name
                for name, forms in self._needles.items()
                if any(form in content for form in forms)
            ]
        return self._found_in[digest]


def _contents(stack: Stack) -> Iterator[tuple[str, bytes]]:
    env = stack.environment()
    with psycopg.connect(env["DATABASE_URL"]) as database:
        yield from _iter_tables(database)
    for name, url in (("profiles", env["REDIS_URL"]), ("queue", env["QUEUE_URL"])):
        with redis.Redis.from_url(url, socket_timeout=5) as client:
            for key in client.scan_iter():
                # Not DUMP, which compresses.
                yield f"{name}: {key.decode()}", key + _read_key(client, key)
    for pattern in _FILES:
        for path in stack.data_dir.glob(pattern):
            yield str(Path(path).relative_to(stack.data_dir)), path.read_bytes()


def _iter_tables(database: psycopg.Connection) -> Iterator[tuple[str, bytes]]:
    """Yields all tables of all schemas, of the catalog too: it has a sample of values."""
    for schema, table in database.execute(_TABLES).fetchall():
        query = sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(schema, table))
        with database.cursor().copy(query) as rows:
            yield f"{schema}.{table}", b"".join(map(bytes, rows))


def _read_key(client: redis.Redis, key: bytes) -> bytes:
    reads: dict[bytes, Any] = {
        b"string": lambda: [client.get(key)],
        b"hash": lambda: [part for item in client.hgetall(key).items() for part in item],
        b"list": lambda: client.lrange(key, 0, -1),
        b"set": lambda: client.smembers(key),
        b"zset": lambda: client.zrange(key, 0, -1),
    }
    return b"\n".join(cast(Iterable[bytes], reads[cast(bytes, client.type(key))]()))
