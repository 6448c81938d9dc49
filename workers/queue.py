"""Enqueues Huey tasks. They carry ids only, never an address, a code or a token."""

from collections.abc import Iterable

import structlog
from huey.contrib.djhuey import HUEY
from redis import RedisError

from domain.commands.ports import OutboxRef
from domain.projection.client import describe_error
from workers import tasks

log = structlog.get_logger(__name__)


def enqueue(outbox_refs: Iterable[OutboxRef]) -> bool:
    """Enqueues committed outbox entries; returns whether it succeeded.

    Best effort: entries that were not enqueued become due when their lease expires.
    """
    try:
        # A kind of a later version, during an upgrade, is left to the processes of that version.
        known = [ref for ref in outbox_refs if ref.kind in tasks.TASKS]
        HUEY.enqueue_many([tasks.TASKS[ref.kind].s(ref.id) for ref in known])
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
