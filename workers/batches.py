"""Huey, which is told of many tasks at a time."""

from collections.abc import Sequence

from huey import RedisHuey
from huey.api import Task

from domain.stores.redis_command import execute


class BatchHuey(RedisHuey):
    """Huey on Redis, with one way in more than it has by itself."""

    def enqueue_many(self, tasks: Sequence[Task]) -> None:
        """As `enqueue` for each of them, in order, in one round trip, and without a signal: of each
        the dashboard would write a row to Postgres for no figure of its own. Tasks that expire,
        have a priority or leave a result are not foreseen. Raises `RedisError`.
        """
        if tasks:
            messages = map(self.serialize_task, tasks)
            pool = self.storage.conn.connection_pool
            execute(pool, "LPUSH", self.storage.queue_key, *messages)
