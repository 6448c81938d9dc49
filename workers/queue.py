"""Enqueues Huey tasks. They carry ids only, never an address, a code or a token."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import structlog
from huey.contrib.djhuey import HUEY
from redis import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from domain.circuit_breaker import CircuitBreaker
from domain.projection.redis_pool import CircuitOpen
from workers import tasks

log = structlog.get_logger(__name__)

_breaker = CircuitBreaker("queue")  # not for Huey's consumer, which waits in any case


def enqueue(outbox_ids: Iterable[int]) -> bool:
    """Enqueues committed outbox entries; returns whether it succeeded.

    Best effort: entries that were not enqueued become due when their lease expires.
    """
    try:
        with _circuit_breaker():
            HUEY.enqueue_many([tasks.process_outbox_entry.s(outbox_id) for outbox_id in outbox_ids])
    except RedisError as error:
        log.warning("queue_unavailable", error_type=type(error).__name__)
        return False
    return True


def queue_depth() -> int | None:
    """Returns the number of tasks in the queue; None while its Redis is unavailable."""
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
