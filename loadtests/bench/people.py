"""People who are read: made by the product's own functions, and put straight into Redis."""

import random
import secrets
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import batched
from pathlib import Path

from redis import Redis

from domain import profile, session
from domain.keys import Keyring
from domain.person import ActiveSession, Person
from local.servers import Valkey

HOBBIES = ("engines", "poetry", "whist", "horses", "flying", "the analytical engine")
_BATCH = 1000  # hashes in one write


@dataclass(frozen=True)
class Crowd:
    """People in a Redis: the file with a token of each, a line for each; the octets of all their
    bodies, and those by which Redis grew; and the secret of whoever is to read them.
    """

    redis: Valkey
    tokens: Path
    people: int
    body_octets: int
    redis_octets: int
    secret: str


def somebody(keys: Keyring, number: int) -> tuple[Person, str]:
    """A person with one session, and its token. Some 170 octets of profile, as people have."""
    person_id = uuid.uuid4()
    token, digest = session.issue_token(keys, person_id, 1)
    return Person(
        id=person_id,
        version=1,
        name="Ada",
        surname=f"Lovelace the {number}th",
        email=f"ada-{number}@example.com",
        phone=f"+346{number:08}",
        hobbies=tuple(random.choices(HOBBIES, k=number % 4)),
        email_verified=True,
        phone_verified=bool(number % 2),
        sessions=(ActiveSession(digest, datetime.now(UTC) + timedelta(days=30)),),
    ), token


def fill(valkey: Valkey, count: int, folder: Path) -> Crowd:
    """Put `count` people into a Redis, and their tokens into a file in `folder`."""
    secret = secrets.token_hex(32)
    keys = Keyring([secret])
    tokens = folder / f"tokens-{valkey.name}-{count}"
    octets = 0
    with tokens.open("w") as file, Redis.from_url(valkey.url, socket_timeout=60) as redis:
        before = _used(redis)
        for batch in batched(range(count), _BATCH):
            hashes = []
            for number in batch:
                person, token = somebody(keys, number)
                fields = profile.to_hash(person)
                hashes.append((profile.redis_key(person.id), fields))
                octets += len(fields[profile.BODY])
                file.write(token + "\n")
            write(redis, hashes)
        grown = _used(redis) - before
    return Crowd(valkey, tokens, count, octets, grown, secret)


def write(redis: Redis, hashes: Iterable[tuple[str, dict[bytes, bytes]]]) -> None:
    """Write these hashes, all in one go. Raises `RedisError`."""
    pipeline = redis.pipeline(transaction=False)
    for key, fields in hashes:
        pipeline.hset(key, items=[part for pair in fields.items() for part in pair])
    pipeline.execute()


def _used(redis: Redis) -> int:
    return int(redis.info("memory")["used_memory"])
