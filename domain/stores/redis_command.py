"""Commands to Redis for what every write sends, at a third of the CPU time of redis-py's client.

That spends 20 us on a command besides sending it and reading its reply (metrics and events of its
own, deprecated arguments, callbacks), which is more than both of these take.
"""

from collections.abc import Sequence
from hashlib import sha1
from typing import Any, override

import hiredis
from redis import ConnectionPool, RedisError
from redis.exceptions import NoScriptError

type Word = str | bytes | int


class Pool(ConnectionPool):
    """redis-py's pool, without its metrics and events."""

    @override
    def get_connection(self, *args: Any, **kwargs: Any) -> Any:
        self._checkpid()
        with self._lock:
            idle = self._available_connections
            connection = idle.pop() if idle else self.make_connection()
            self._in_use_connections.add(connection)
        try:
            if connection.is_connected and not _is_clean(connection):
                connection.disconnect()
            if not connection.is_connected:
                connection.connect()
        except BaseException:
            self.release(connection)
            raise
        return connection

    @override
    def release(self, connection: Any) -> None:
        self._checkpid()
        if connection.should_reconnect():
            connection.disconnect()
        with self._lock:
            if connection in self._in_use_connections:  # not one of before a fork
                self._in_use_connections.remove(connection)
                self._available_connections.append(connection)


def _is_clean(connection: Any) -> bool:
    """Whether a connection is open, and no reply is left on it that nobody has read."""
    try:
        return not connection.can_read()
    except (RedisError, OSError):
        return False


def execute(pool: ConnectionPool, *command: Word) -> Any:
    """Returns the reply to a command, which is retried if the pool's connections are set to.

    Raises `RedisError`.
    """
    packed = [hiredis.pack_command(command)]  # type: ignore[arg-type]  # its stub: one word
    connection: Any = pool.get_connection()

    def exchange() -> Any:
        connection.send_packed_command(packed)
        return connection.read_response()

    try:
        return connection.retry.call_with_retry(exchange, lambda _: connection.disconnect())
    finally:
        pool.release(connection)


class Script:
    """A Lua script, which is sent only to a server that does not have it yet."""

    def __init__(self, pool: ConnectionPool, text: str) -> None:
        self._pool = pool
        self._text = text
        self._sha = sha1(text.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, keys: Sequence[Word], arguments: Sequence[Word]) -> Any:
        """Returns what the script does. Raises `RedisError`."""
        words = (len(keys), *keys, *arguments)
        try:
            return execute(self._pool, "EVALSHA", self._sha, *words)
        except NoScriptError:
            return execute(self._pool, "EVAL", self._text, *words)
