"""Redis commands, pipelines and Lua scripts, at a third of the CPU time of redis-py's client.

redis-py spends 20 us on a command besides sending it and reading its reply (metrics and events,
deprecated arguments, callbacks), which is more than both of these take.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha1
from typing import Any

from redis import RedisError
from redis.exceptions import NoScriptError

from domain.projection.cluster_pool import AnyPool
from domain.projection.redis_pool import Argument as Argument
from domain.projection.redis_pool import Pool


def execute(pool: AnyPool, *command: Argument) -> Any:
    """Returns the reply to one command. Raises as `execute_pipeline` does."""
    return execute_pipeline(pool, [command])[0]


def execute_pipeline(pool: AnyPool, commands: Iterable[tuple[Argument, ...]]) -> list[Any]:
    """Executes all commands, as `exchange` of the pool does; returns the replies in order.

    Raises `RedisError` when Redis is unavailable, and for the first reply that is an error; the
    other commands have been executed.
    """
    return _check(pool.exchange(list(commands)))


def run_script(
    pool: AnyPool,
    script: str,
    calls: Iterable[Sequence[Argument]],
    num_keys: int = 1,
) -> list[Any]:
    """Runs a Lua script for each of `calls` (`num_keys` keys, then arguments); returns the results.

    Loads it where a server does not have it. Raises as `execute_pipeline` does.
    """
    sha = sha1(script.encode(), usedforsecurity=False).hexdigest()
    commands: list[tuple[Argument, ...]] = [("EVALSHA", sha, num_keys, *call) for call in calls]
    replies = pool.exchange(commands)
    missed = [number for number, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
    if missed:
        for server, _ in pool.primaries():
            with suppress(RedisError):  # then it does not execute the script either
                server.exchange([("SCRIPT", "LOAD", script)])
        again = pool.exchange([commands[number] for number in missed])
        for number, reply in zip(missed, again, strict=True):
            replies[number] = reply
    return _check(replies)


def scan_keys(pool: Pool, pattern: str, count: int) -> Iterator[list[bytes]]:
    """Yields the keys of one primary that match a glob, in batches of some `count` keys.

    Raises as `execute_pipeline` does.
    """
    cursor = b"0"
    while True:
        cursor, keys = execute(pool, "SCAN", cursor, "MATCH", pattern, "COUNT", count)
        yield keys
        if cursor == b"0":
            return


def _check(replies: list[Any]) -> list[Any]:
    """Returns the replies. Raises the first error among them."""
    for reply in replies:
        if isinstance(reply, RedisError):
            raise reply
    return replies
