"""The read process asks Sentinels for the primary, some of which are wrong or do not respond."""

import time
from contextlib import AsyncExitStack

import pytest

from api.reads.redis.connection import RedisUnavailable
from api.reads.redis.sentinel import make_locator
from domain.redis_url import parse_url
from local.tcp_ports import HOST, find_free_port
from tests.api.reads.redis.test_connection import run_in_loop
from tests.support.fake_redis import Command, FakeRedis, Handler, always_reply, never_reply

OLD, NEW = (always_reply(b"*2\r\n$9\r\n127.0.0.1\r\n$1\r\n%d\r\n" % port) for port in (1, 2))
UNKNOWN, DENIED = always_reply(b"*-1\r\n"), always_reply(b"-NOAUTH Authentication required.\r\n")


async def find_port(*handlers: Handler) -> int:
    """Returns the port of the primary that Sentinels with these handlers name, and one that is not
    running.
    """
    async with AsyncExitStack() as stack:
        sentinels = [FakeRedis(handler) for handler in handlers]
        for each in sentinels:
            await stack.enter_async_context(each.listening())
        hosts = [f"{HOST}:{port}" for port in [find_free_port(), *(s.port for s in sentinels)]]
        locator = make_locator(parse_url(f"redis+sentinel://{','.join(hosts)}/profiles"))
        return (await locator.find_primary()).port


@pytest.mark.parametrize(
    ("handlers", "port"),
    [
        ((NEW,), 2),
        ((OLD, NEW, NEW), 2),
        ((UNKNOWN, DENIED, NEW), 2),
        ((never_reply, NEW, NEW, NEW), 2),
    ],
)
@run_in_loop
async def test_primary_is_what_most_sentinels_name(handlers: tuple[Handler, ...], port: int):
    assert await find_port(*handlers) == port


@run_in_loop
async def test_majority_is_not_held_up_by_a_sentinel_that_does_not_respond():
    started_at = time.monotonic()
    await find_port(never_reply, NEW, NEW, NEW)
    assert time.monotonic() - started_at < 0.4


@run_in_loop
async def test_no_primary_is_unavailable():
    for handlers in ((), (UNKNOWN, DENIED)):
        with pytest.raises(RedisUnavailable):
            await find_port(*handlers)


@run_in_loop
async def test_last_primary_is_used_while_no_sentinel_responds():
    async with FakeRedis(NEW).listening() as sentinel:
        locator = make_locator(parse_url(f"redis+sentinel://{HOST}:{sentinel.port}/profiles"))
        primary = await locator.find_primary()
    assert await locator.find_primary() == primary
    assert not await locator.has_moved(primary)


@run_in_loop
async def test_sentinels_have_credentials_of_their_own():
    async def reply(command: Command) -> bytes:
        return b"+OK\r\n" if command[0] == b"AUTH" else await NEW(command)

    async with FakeRedis(reply).listening() as sentinel:
        options = "sentinel_username=watcher&sentinel_password=p%40ss"
        url = f"redis+sentinel://ada:secret@{HOST}:{sentinel.port}/profiles?{options}"
        await make_locator(parse_url(url)).find_primary()
    assert sentinel.commands == [
        [b"AUTH", b"watcher", b"p@ss"],
        [b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", b"profiles"],
    ]
