"""redis-py's client of the profile Redis, for what tests look at there, and break."""

from functools import cache
from typing import cast

from redis import Redis

from domain.projection.client import get_pool
from domain.projection.redis_pool import Pool


@cache
def get_client() -> Redis:
    """Returns a client on the connections of this process."""
    return Redis(connection_pool=cast(Pool, get_pool()))
