"""Datasets of people, made by the product's own functions and written directly to Redis."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import batched
from pathlib import Path

from redis import Redis

from domain import profile
from domain.model.keyring import Keyring
from loadtests.seeding import make_person
from local.servers import Valkey

_BATCH = 1000  # hashes in one write


@dataclass(frozen=True)
class Dataset:
    """People in a Redis. `tokens`: a file with a token of each, one a line; `body_bytes`: the size
    of all bodies; `redis_bytes`: by how much Redis grew; `secret`: the SECRET_KEY of the tokens;
    `cluster`: the primaries of the Redis Cluster that is read instead.
    """

    redis: Valkey
    tokens: Path
    people: int
    body_bytes: int
    redis_bytes: int
    secret: str
    cluster: tuple[Valkey, ...] = ()

    @property
    def redis_pids(self) -> list[int]:
        """The processes that are read from."""
        return [server.pid for server in self.cluster or (self.redis,)]


def fill(valkey: Valkey, count: int, folder: Path) -> Dataset:
    """Writes `count` people to a Redis, and their tokens to a file in `folder`."""
    secret = secrets.token_hex(32)
    keys = Keyring([secret])
    tokens = folder / f"tokens-{valkey.name}-{count}"
    body_bytes = 0
    with tokens.open("w") as file, Redis.from_url(valkey.url, socket_timeout=60) as redis:
        used_before = _get_used_memory(redis)
        for batch in batched(range(count), _BATCH):
            hashes = []
            for number in batch:
                person, token = make_person(keys, number)
                fields = profile.to_hash(person)
                hashes.append((profile.redis_key(person.id), fields))
                body_bytes += len(fields[profile.BODY])
                file.write(token + "\n")
            write(redis, hashes)
        growth = _get_used_memory(redis) - used_before
    return Dataset(valkey, tokens, count, body_bytes, growth, secret)


def write(redis: Redis, hashes: Iterable[tuple[str, dict[bytes, bytes]]]) -> None:
    """Writes hashes in one pipeline. Raises `RedisError`."""
    pipeline = redis.pipeline(transaction=False)
    for key, fields in hashes:
        pipeline.hset(key, items=[part for pair in fields.items() for part in pair])
    pipeline.execute()


def _get_used_memory(redis: Redis) -> int:
    return int(redis.info("memory")["used_memory"])
