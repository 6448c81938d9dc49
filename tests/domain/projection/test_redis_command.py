"""Redis commands: broken connections are replaced, scripts are loaded once."""

from collections.abc import Iterator

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from domain.projection.pools import make_pool
from domain.projection.redis_command import execute, execute_pipeline, run_script
from domain.projection.redis_pool import Pool
from domain.redis_url import parse_url
from local.servers import Valkey
from local.stack import Stack
from local.tcp_ports import HOST, find_free_port


@pytest.fixture
def url(stack: Stack) -> str:
    return stack.environment()["QUEUE_URL"]


@pytest.fixture
def pool(url: str) -> Iterator[Pool]:
    """A pool whose commands are never retried, like Huey's."""
    with Pool.from_url(url, socket_timeout=5) as pool:
        yield pool


def test_connection_is_reused(pool: Pool):
    assert execute(pool, "CLIENT", "ID") == execute(pool, "CLIENT", "ID")


def test_closed_connection_is_replaced_before_a_command(pool: Pool, url: str):
    first_connection = execute(pool, "CLIENT", "ID")
    with Redis.from_url(url) as operator:
        assert operator.client_kill_filter(_id=first_connection) == 1
    assert execute(pool, "CLIENT", "ID") != first_connection


def test_connection_with_an_unread_reply_is_replaced(pool: Pool):
    connection = pool.get_connection()
    connection.send_command("ECHO", "of another command")
    while not connection.can_read(timeout=5):
        pass
    pool.release(connection)
    assert execute(pool, "ECHO", "mine") == b"mine"


def test_failed_command_returns_its_connection_to_the_pool():
    with Pool.from_url(f"redis://{HOST}:{find_free_port()}", max_connections=1) as pool:
        for _ in range(2):
            with pytest.raises(RedisConnectionError, match="connecting"):
                execute(pool, "PING")


def test_pipeline_is_executed_and_read_to_its_end_after_an_error(pool: Pool):
    commands = [("SET", "text", "a"), ("INCR", "text"), ("ECHO", "unread"), ("SET", "text", "b")]
    with pytest.raises(ResponseError):
        execute_pipeline(pool, commands)
    assert execute(pool, "GETDEL", "text") == b"b"


def test_script_is_reloaded_after_script_flush(pool: Pool):
    script = "return {KEYS[1], ARGV[1]}"
    for _ in range(2):
        assert run_script(pool, script, [("key", "argument")]) == [[b"key", b"argument"]]
        execute(pool, "SCRIPT", "FLUSH")


def test_pool_of_a_unix_socket_connects_to_it(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("unix")
    path = folder / "redis.sock"
    with Valkey(folder, "unix", {"unixsocket": str(path)}):
        pool = make_pool(parse_url(f"unix://{path}?db=3"), server="unix")
        assert b" db=3 " in execute(pool, "CLIENT", "INFO")
        pool.close()
