"""Enqueues Huey tasks. They carry ids only, never an address, a code or a token."""

from collections.abc import Iterable

import structlog
from huey.contrib.djhuey import HUEY
from redis import RedisError

from domain.projection.client import describe_error
from workers import tasks

log = structlog.get_logger(__name__)


def enqueue(outbox_ids: Iterable[int]) -> bool:
    """Enqueues committed outbox entries; returns whether it succeeded.

    Best effort: entries that were not enqueued become due when their lease expires.
    """
    try:
        HUEY.enqueue_many([tasks.process_outbox_entry.s(outbox_id) for outbox_id in outbox_ids])
    except RedisError as error:
        log.warning("queue_unavailable", **describe_error(error))
        return False
    return True


def queue_depth() -> int | None:
    """Returns the number of tasks in the queue; None while its Redis is unavailable."""
    try:
        return int(HUEY.storage.queue_size())
    except RedisError as error:
        log.warning("queue_unavailable", **describe_error(error))
        return None
