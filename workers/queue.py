"""The way into Huey. Only ids go in: a queue is no place for an address, a code or a token."""

from collections.abc import Iterable

import structlog
from huey.contrib.djhuey import HUEY
from redis import RedisError

from workers import tasks

log = structlog.get_logger(__name__)


def wake(outbox_ids: Iterable[int]) -> bool:
    """Tell Huey of outbox rows that were committed; whether it could be told.

    Best effort: rows that were not handed over come due when their lease ends.
    """
    try:
        HUEY.enqueue_all([tasks.work.s(outbox_id) for outbox_id in outbox_ids])
    except RedisError as error:
        log.warning("queue_unavailable", error=type(error).__name__)
        return False
    return True


def length() -> int | None:
    """How many tasks stand in the queue; None while its Redis is away."""
    try:
        return int(HUEY.storage.queue_size())
    except RedisError as error:
        log.warning("queue_unavailable", error=type(error).__name__)
        return None
