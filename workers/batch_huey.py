"""Huey with a batch operation."""

from collections.abc import Sequence
from typing import override

from huey import RedisHuey
from huey.api import Task

from domain.metrics.registry import WORKER_LAST_RUN
from domain.projection.redis_command import execute


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
        """Returns the next task; None if there is none. Each thread of a worker asks once a second
        while it has no task.
        """
        WORKER_LAST_RUN.set_to_current_time()
        return super().dequeue()
