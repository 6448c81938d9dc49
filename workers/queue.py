"""The way into Huey. Only ids go in: a queue is no place for an address, a code or a token."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import structlog
from huey.contrib.djhuey import HUEY
from redis import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from domain.stores.circuit_breaker import CircuitBreaker
from domain.stores.redis_pool import CircuitOpen
from workers import tasks

log = structlog.get_logger(__name__)

_breaker = CircuitBreaker("queue")  # not for Huey's consumer, which can but wait


def enqueue(outbox_ids: Iterable[int]) -> bool:
    """Tell Huey of outbox rows that were committed; whether it could be told.

    Best effort: rows that were not handed over come due when their lease ends.
    """
    try:
        with _circuit_breaker():
            HUEY.enqueue_many([tasks.process_outbox_entry.s(outbox_id) for outbox_id in outbox_ids])
    except RedisError as error:
        log.warning("queue_unavailable", error_type=type(error).__name__)
        return False
    return True


def queue_depth() -> int | None:
    """How many tasks stand in the queue; None while its Redis is away."""
    try:
        with _circuit_breaker():
            return int(HUEY.storage.queue_size())
    except RedisError as error:
        log.warning("queue_unavailable", error_type=type(error).__name__)
        return None


@contextmanager
def _circuit_breaker() -> Iterator[None]:
    """Raises `CircuitOpen` at once while the queue's Redis does not respond."""
    if _breaker.is_open:
        raise CircuitOpen
    try:
        yield
    except RedisTimeoutError:
        _breaker.open(HUEY.storage.conn.ping, RedisError)
        raise
