"""The clients of the profile Redis, and what their errors mean."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple
from uuid import UUID

import structlog
from django.conf import settings
from redis import RedisError
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from domain import profile
from domain.fence import denied_command, fence_key
from domain.model.errors import ServiceUnavailable
from domain.projection.cluster_pool import AnyPool
from domain.projection.pools import make_pool
from domain.projection.redis_pool import REJECTED, Pool
from domain.redis_url import parse_url

log = structlog.get_logger(__name__)


@cache
def get_pool() -> AnyPool:
    """Returns the connections of this process.

    One retry, at once, on a new connection: in place of one that a restarted Redis has closed, or
    that leads to a demoted primary. Every command may be sent twice.
    """
    return make_pool(
        parse_url(settings.REDIS_URL),
        server="profiles",
        socket_connect_timeout=0.5,
        socket_timeout=1,  # above the relay's longest blocking wait
        retry=Retry(NoBackoff(), 1, (RedisConnectionError, *REJECTED)),
    )


class Primary(NamedTuple):
    """A primary of the profile Redis, with a fence and a backfill queue of its own: its connection
    pool, and in a Redis Cluster a hash tag of the lowest slot that it serves.
    """

    pool: Pool
    hash_tag: str = ""

    @property
    def fence_key(self) -> str:
        """The key of its fence."""
        return fence_key(self.hash_tag)

    @property
    def backfill_queue(self) -> str:
        """The key of its backfill queue."""
        return profile.backfill_queue(self.hash_tag)

    def stores(self, person_id: UUID) -> bool:
        """Returns whether the profile of that person is stored there."""
        if not self.hash_tag:
            return True  # it is the only one
        return get_primary(profile.redis_key(person_id)).hash_tag == self.hash_tag


def get_primaries() -> list[Primary]:
    """Returns all primaries of the profile Redis. Raises `RedisError` if they cannot be known."""
    return [Primary(*each) for each in get_pool().primaries()]


def get_primary(key: str) -> Primary:
    """Returns the primary that stores a key. Raises as `get_primaries` does."""
    return Primary(*get_pool().primary(key))


@cache
def get_bulk_pool() -> AnyPool:
    """Returns a pool with a long timeout, for batches of thousands. Only what a demoted primary has
    rejected is retried, on a new connection.
    """
    return make_pool(
        parse_url(settings.REDIS_URL),
        server="profiles",
        protocol=3,
        socket_connect_timeout=2,
        socket_timeout=10,  # Redis may block on a slow disk
        retry=Retry(NoBackoff(), 1, REJECTED),
    )


def describe_error(error: RedisError) -> dict[str, str]:
    """Returns what may be logged of an error; of a missing permission also which one."""
    denied = denied_command(error)
    details = {"denied_command": denied} if denied else {}
    return {"error_type": type(error).__name__, **details}


@contextmanager
def translate_redis_errors() -> Iterator[None]:
    """Raises `ServiceUnavailable`, and logs, in place of redis-py's errors."""
    try:
        yield
    except RedisError as error:
        log.warning("redis_error", **describe_error(error))
        raise ServiceUnavailable from None
