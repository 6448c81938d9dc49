"""Near copies: for those who read often, and never in use once a change to them was answered."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
import redis
from structlog.testing import capture_logs

from api.reads.client_cache import ClientCache
from domain import profile, session
from local.servers import Valkey
from tests.asking import Reads
from tests.fake_redis import Command, FakeRedis
from tests.test_reads_app import DIGEST, KEYS, NOTHING, PERSON, TOKEN, bulk, fields
from tests.test_reads_connection import in_a_loop

AGE = 0.3  # seconds; longer than in life, for a machine that is busy
LONG_AGE = 30.0  # so that nothing but Redis ends a copy
KEY = profile.key_of(PERSON)


@asynccontextmanager
async def reader(url: str, age: float = LONG_AGE, **options: int) -> AsyncIterator[Reads]:
    """A reader that has near copies by now, or cannot have any."""
    reads = Reads(url, KEYS, timeout=0.5, miss_timeout=0.01, max_staleness=age, **options)
    with capture_logs() as logs:
        reads.start(asyncio.get_running_loop())
        while reads.redis.cache is None and not said(logs, "client_cache_disabled"):
            await asyncio.sleep(0.001)
    try:
        yield reads
    finally:
        await reads.close()


def said(logs: list[Any], event: str) -> bool:
    return any(line["event"] == event for line in logs)


async def read(reads: Reads, token: str | None = None) -> tuple[int, bytes]:
    answer = await reads.read(token or TOKEN)
    return answer.status, answer.body


class Asked:
    """A Redis in which there is one profile; counts how often it was asked for it."""

    def __init__(self, reply: bytes) -> None:
        self.reply, self.times = reply, 0

    async def __call__(self, command: Command) -> bytes:
        self.times += command[0] == b"HMGET"
        return self.reply if command[0] == b"HMGET" else b"_\r\n"


# --- What is kept --------------------------------------------------------------------------------


@in_a_loop
async def test_repeated_read_is_served_from_client_cache():
    asked = Asked(bulk(*fields(3)))
    async with FakeRedis(asked, tells=True).listening() as fake, reader(fake.url) as reads:
        assert {(await read(reads))[0] for _ in range(100)} == {200}
        assert asked.times == 2


@in_a_loop
async def test_nothing_is_cached_without_client_tracking():
    asked = Asked(bulk(*fields(3)))
    async with FakeRedis(asked).listening() as fake, reader(fake.url) as reads:
        assert {(await read(reads))[0] for _ in range(10)} == {200}
        assert asked.times == 10


@in_a_loop
async def test_nothing_is_cached_when_client_caching_is_denied():
    class Forgetful(FakeRedis):
        async def reply(self, command: Command) -> bytes | None:
            if command[:2] == [b"CLIENT", b"CACHING"]:
                return b"-NOPERM no permissions\r\n"
            return await super().reply(command)

    asked = Asked(bulk(*fields(3)))
    async with Forgetful(asked, tells=True).listening() as fake, reader(fake.url) as reads:
        assert {(await read(reads))[0] for _ in range(10)} == {200}
        assert asked.times == 10


@pytest.mark.parametrize(
    "change", [b"*1\r\n$%d\r\n%b\r\n" % (len(KEY), KEY.encode()), b"_\r\n"], ids=["one", "all"]
)
@in_a_loop
async def test_profile_invalidated_with_its_reply_is_not_cached(change):
    """The reader goes on a turn after the reply came; by then it knows of the change already."""
    asked = Asked(bulk(*fields(3)) + b">2\r\n$10\r\ninvalidate\r\n" + change)
    async with FakeRedis(asked, tells=True).listening() as fake, reader(fake.url) as reads:
        assert {(await read(reads))[0] for _ in range(10)} == {200}
        assert asked.times == 10


UNFIT = {
    "missing": (bulk(*NOTHING), 503),
    "older than the token": (bulk(*fields(2)), 503),
    "without the session": (bulk(b"{}", b'"t"', b"3", None), 401),
    "out of date": (bulk(b"{}", b'"t"', b"3", b"1"), 401),
    "gone": (bulk(b"", b"", b"4", None), 401),
    "damaged": (bulk(b"{}", b'"t"', b"what", b"1"), 500),
    "no hash": (b":1\r\n", 503),
}


@pytest.mark.parametrize("kind", UNFIT)
@in_a_loop
async def test_unusable_reply_is_not_cached(kind):
    asked, (reply, status) = Asked(bulk(*fields(3))), UNFIT[kind]
    asked.reply = reply
    async with FakeRedis(asked, tells=True).listening() as fake, reader(fake.url) as reads:
        assert {(await read(reads))[0] for _ in range(5)} == {status}
        asked.reply = bulk(*fields(3))
        assert (await read(reads))[0] == 200


@in_a_loop
async def test_cached_session_expires_in_time():
    asked = Asked(bulk(b"{}", b'"t"', b"3", b"%d" % (time.time() + 2)))
    async with FakeRedis(asked, tells=True).listening() as fake, reader(fake.url) as reads:
        while (await read(reads))[0] == 200:
            await asyncio.sleep(0.01)
        assert (await read(reads))[0] == 401
        assert asked.times == 2


@in_a_loop
async def test_cache_has_a_byte_limit_and_evicts_the_least_recent():
    body = b"x" * 20_000
    reply = bulk(body, b'"t"', b"1", b"9999999999")
    asked = Asked(reply)
    tokens = [session.issue(KEYS, uuid4(), 1)[0] for _ in range(100)]
    async with (
        FakeRedis(asked, tells=True).listening() as fake,
        reader(fake.url, cache_bytes=20 * 22_000) as reads,
    ):
        for token in tokens:
            for _ in range(2):
                assert (await read(reads, token))[0] == 200
        cache = reads.redis.cache
        assert cache is not None
        assert len(cache._entries) == len(cache._people) == 20
        before = asked.times
        assert {(await read(reads, token))[0] for token in tokens[-20:]} == {200}
        assert asked.times == before


@in_a_loop
async def test_sessions_of_a_person_share_one_cached_body():
    person = uuid4()
    tokens = [session.issue(KEYS, person, 1)[0] for _ in range(10)]
    asked = Asked(bulk(*fields(1)))
    async with FakeRedis(asked, tells=True).listening() as fake, reader(fake.url) as reads:
        for token in tokens * 3:
            assert (await read(reads, token))[0] == 200
        cache = reads.redis.cache
        assert cache is not None
        assert len(cache._entries) == 10
        assert len({id(entry.reply[0]) for entry in cache._entries.values()}) == 1


# --- How long it is used -------------------------------------------------------------------------


class Profiles:
    """A real Redis, to which a profile is written from elsewhere."""

    def __init__(self, valkey: Valkey) -> None:
        self.url = valkey.url
        self.redis = redis.Redis(port=valkey.port)
        self.write(0)

    def write(self, number: int) -> None:
        end = int(time.time()) + 1000
        fields = (b"b", number, b"e", b'"t"', b"v", 3 + number, DIGEST, end)
        with self.redis.pipeline() as together:
            together.delete(KEY)
            together.hset(KEY, items=list(fields))
            together.execute()

    def asked(self) -> int:
        return int(self.redis.info("commandstats").get("cmdstat_hmget", {"calls": 0})["calls"])


@pytest.fixture(scope="module")
def valkey(tmp_path_factory):
    with Valkey(tmp_path_factory.mktemp("near"), "profiles") as running:
        yield running


@pytest.fixture
def profiles(valkey: Valkey) -> Profiles:
    return Profiles(valkey)


async def kept(reads: Reads) -> ClientCache:
    """Read until there is a copy of the profile; all copies."""
    copies = reads.redis.cache
    assert copies is not None
    while DIGEST not in copies._entries:
        assert (await read(reads))[0] == 200
    return copies


CHANGES: dict[str, tuple[Callable[[Profiles], Any], int]] = {
    "written": (lambda it: it.write(1), 200),
    "by a script": (
        lambda it: it.redis.eval("redis.call('HDEL', KEYS[1], ARGV[1])", 1, KEY, DIGEST),
        401,
    ),
    "deleted": (lambda it: it.redis.delete(KEY), 503),
    "flushed": (lambda it: it.redis.flushall(), 503),
    "cut off": (lambda it: it.redis.client_kill_filter(_type="normal", skipme=True), 200),
}


@pytest.mark.parametrize("change", CHANGES)
@in_a_loop
async def test_changed_profile_is_invalidated(profiles: Profiles, change):
    do, status = CHANGES[change]
    async with reader(profiles.url) as reads:
        for _ in range(3):  # and is asked each time to tell of the next change too
            profiles.write(0)
            while (await read(reads)) != (200, b"0"):
                await asyncio.sleep(0.001)
            copies = await kept(reads)
            asked = profiles.asked()
            assert await read(reads) == (200, b"0")
            assert profiles.asked() == asked
            do(profiles)
            while reads.redis.cache is copies and DIGEST in copies._entries:
                await asyncio.sleep(0.001)
            while reads.redis.cache is None:
                await asyncio.sleep(0.001)
            assert (await read(reads))[0] == status


@in_a_loop
async def test_entry_is_not_used_beyond_max_staleness_without_replies(
    valkey: Valkey, profiles: Profiles
):
    async with reader(profiles.url, AGE) as reads:
        await kept(reads)
        valkey.suspend()
        try:
            began = last = time.monotonic()
            while (await read(reads))[0] == 200:
                last = time.monotonic()
                await asyncio.sleep(0.001)
        finally:
            valkey.resume()
        assert last - began < AGE + 0.2


@in_a_loop
async def test_entries_are_stale_after_the_process_was_stopped(profiles: Profiles):
    """Nothing here lets the event loop look at what Redis has said meanwhile."""
    async with reader(profiles.url, AGE) as reads:
        await kept(reads)
        await reads.redis.execute_command("PING")
        began = time.monotonic()
        profiles.write(1)
        body = (await read(reads))[1]
        if time.monotonic() - began < AGE:
            assert body == b"0"  # the write has not waited: it may not be answered yet
        threading.Event().wait(AGE)
        assert await read(reads) == (200, b"1")


@asynccontextmanager
async def slow_way_back(port: int, delay: float) -> AsyncIterator[str]:
    """The URL of a Redis whose words arrive `delay` seconds late."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection("127.0.0.1", port)

        async def back() -> None:
            loop = asyncio.get_running_loop()
            while data := await server.read(100_000):
                loop.call_later(delay, to_client.write, data)

        tasks.add(asyncio.create_task(back()))
        while data := await client.read(100_000):
            to_server.write(data)
        to_server.close()
        to_client.close()

    async with await asyncio.start_server(serve, "127.0.0.1") as listening:
        yield f"redis://127.0.0.1:{listening.sockets[0].getsockname()[1]}/0"
        await asyncio.wait(tasks)


@pytest.mark.parametrize("waits", [True, False])
@in_a_loop
async def test_write_that_waited_is_visible_despite_late_invalidations(
    profiles: Profiles, waits: bool
):
    """The copies are in use all the time; those who do not wait show that it would matter."""
    unseen = 0
    async with (
        slow_way_back(profiles.redis.get_connection_kwargs()["port"], AGE / 4) as url,
        reader(url, AGE) as reads,
    ):
        for number in range(1, 6):
            await kept(reads)
            assert (await read(reads))[0] == 200
            await asyncio.to_thread(profiles.write, number)
            if waits:
                await asyncio.sleep(AGE)
            unseen += await read(reads) != (200, b"%d" % number)
    assert (unseen == 0) == waits
