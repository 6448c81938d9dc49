"""Redis commands, pipelines and Lua scripts, at a third of the CPU time of redis-py's client.

redis-py spends 20 us on a command besides sending it and reading its reply (metrics and events,
deprecated arguments, callbacks), which is more than both of these take.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha1
from typing import Any

import hiredis
from redis import ConnectionPool
from redis.exceptions import NoScriptError, ResponseError

type Argument = str | bytes | int


def execute(pool: ConnectionPool, *command: Argument) -> Any:
    """Returns the reply to one command. Raises as `execute_pipeline` does."""
    return execute_pipeline(pool, [command])[0]


def execute_pipeline(pool: ConnectionPool, commands: Iterable[tuple[Argument, ...]]) -> list[Any]:
    """Sends all commands before it reads the first reply; returns the replies in order.

    Retries all of them as the pool's connections are configured. Raises `RedisError` when Redis is
    unavailable, and for the first reply that is an error; the other commands have been executed.
    """
    packed = [hiredis.pack_command(command) for command in commands]  # type: ignore[arg-type]  # its stub: one word
    if not packed:
        return []
    connection: Any = pool.get_connection()

    def exchange() -> list[Any]:
        connection.send_packed_command([b"".join(packed)])
        replies = [_read_reply(connection) for _ in packed]
        for reply in replies:
            if isinstance(reply, ResponseError):
                raise reply
        return replies

    try:
        replies: list[Any] = connection.retry.call_with_retry(
            exchange, lambda _: connection.disconnect()
        )
        return replies
    finally:
        pool.release(connection)


def run_script(
    pool: ConnectionPool, script: str, calls: Iterable[Sequence[Argument]], num_keys: int = 1
) -> list[Any]:
    """Runs a Lua script for each of `calls` (`num_keys` keys, then arguments); returns the results.

    Loads it if the server does not have it. Raises as `execute_pipeline` does.
    """
    sha = sha1(script.encode(), usedforsecurity=False).hexdigest()
    commands: list[tuple[Argument, ...]] = [("EVALSHA", sha, num_keys, *call) for call in calls]
    try:
        return execute_pipeline(pool, commands)
    except NoScriptError:
        return execute_pipeline(pool, [("SCRIPT", "LOAD", script), *commands])[1:]


def _read_reply(connection: Any) -> Any:
    """Returns the next reply, also if it is an error."""
    try:
        return connection.read_response()
    except ResponseError as error:
        return error
