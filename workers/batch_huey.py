"""Huey with a batch operation, and without its pause after a task of another version."""

from collections.abc import Sequence
from typing import override

import structlog
from huey import RedisHuey
from huey.api import Task
from huey.exceptions import HueyException

from domain.metrics.registry import WORKER_LAST_RUN
from domain.projection.redis_command import execute

log = structlog.get_logger(__name__)


class BatchHuey(RedisHuey):
    """Huey on Redis that enqueues several tasks at once."""

    def enqueue_many(self, tasks: Sequence[Task]) -> None:
        """Enqueues these tasks in order, in one round trip, and without Huey's signal: for each the
        dashboard would write a row to Postgres and show nothing. Not for tasks that expire, have a
        priority or a result. Raises `RedisError`.
        """
        if tasks:
            messages = map(self.serialize_task, tasks)
            pool = self.storage.conn.connection_pool
            execute(pool, "LPUSH", self.storage.queue_key, *messages)

    @override
    def dequeue(self) -> Task | None:
        """Returns the next task; None if there is none, or for one that this version does not have,
        as during an upgrade: the relay enqueues its outbox entry again. Huey would pause after it.
        """
        WORKER_LAST_RUN.set_to_current_time()  # at least once a second, while there is no task
        try:
            return super().dequeue()
        except HueyException:  # it names the task
            log.warning("unknown_task")
            return None
