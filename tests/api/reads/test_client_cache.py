"""The client-side cache serves frequent readers, and no state older than an answered write."""

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
from api.reads.redis.connection import encode_command
from domain import profile
from domain.model import session_token
from local.servers import Valkey
from tests.api.reads.redis.test_connection import run_in_loop
from tests.api.reads.test_redis_faults import (
    DIGEST,
    KEYS,
    NO_PROFILE,
    PERSON,
    TOKEN,
    encode_reply,
    make_fields,
)
from tests.support.fake_redis import Command, FakeRedis
from tests.support.faults import resume, suspend
from tests.support.http_request import Reader

MAX_STALENESS = 0.3  # seconds; longer than in production, for busy machines
LONG_STALENESS = 30.0  # only Redis invalidates entries
KEY = profile.redis_key(PERSON)


@asynccontextmanager
async def open_reader(
    url: str, max_staleness: float = LONG_STALENESS, **options: int
) -> AsyncIterator[Reader]:
    """Starts a reader; returns once its client cache is enabled, or cannot be."""
    reader = Reader(
        url, KEYS, timeout=0.5, miss_timeout=0.01, max_staleness=max_staleness, **options
    )
    with capture_logs() as events:
        reader.start()
        while reader.redis.cache is None and not has_logged(events, "client_cache_disabled"):
            await asyncio.sleep(0.001)
    try:
        yield reader
    finally:
        await reader.close()


def has_logged(events: list[Any], event: str) -> bool:
    return any(line["event"] == event for line in events)


async def read_profile(reader: Reader, token: str | None = None) -> tuple[int, bytes]:
    response = await reader.read(token or TOKEN)
    return response.status, response.body


class CountingHandler:
    """A Redis with one profile, which counts its reads."""

    def __init__(self, reply: bytes) -> None:
        self.reply, self.reads = reply, 0

    async def __call__(self, command: Command) -> bytes:
        self.reads += command[0] == b"HMGET"
        return self.reply if command[0] == b"HMGET" else b"_\r\n"


# --- What is kept --------------------------------------------------------------------------------


@run_in_loop
async def test_repeated_read_is_served_from_client_cache():
    handler = CountingHandler(encode_reply(*make_fields(3)))
    async with (
        FakeRedis(handler, supports_tracking=True).listening() as fake,
        open_reader(fake.url) as reader,
    ):
        assert {(await read_profile(reader))[0] for _ in range(100)} == {200}
        assert handler.reads == 2


@run_in_loop
async def test_nothing_is_cached_without_client_tracking():
    handler = CountingHandler(encode_reply(*make_fields(3)))
    async with FakeRedis(handler).listening() as fake, open_reader(fake.url) as reader:
        assert {(await read_profile(reader))[0] for _ in range(10)} == {200}
        assert handler.reads == 10


@run_in_loop
async def test_nothing_is_cached_when_client_caching_is_denied():
    class NoTracking(FakeRedis):
        async def reply(self, command: Command) -> bytes | None:
            if command[:2] == [b"CLIENT", b"CACHING"]:
                return b"-NOPERM no permissions\r\n"
            return await super().reply(command)

    handler = CountingHandler(encode_reply(*make_fields(3)))
    async with (
        NoTracking(handler, supports_tracking=True).listening() as fake,
        open_reader(fake.url) as reader,
    ):
        assert {(await read_profile(reader))[0] for _ in range(10)} == {200}
        assert handler.reads == 10


@pytest.mark.parametrize(
    "change", [b"*1\r\n$%d\r\n%b\r\n" % (len(KEY), KEY.encode()), b"_\r\n"], ids=["one", "all"]
)
@run_in_loop
async def test_profile_invalidated_with_its_reply_is_not_cached(change):
    """The reader continues a turn after the reply, when the invalidation has already arrived."""
    handler = CountingHandler(
        encode_reply(*make_fields(3)) + b">2\r\n$10\r\ninvalidate\r\n" + change
    )
    async with (
        FakeRedis(handler, supports_tracking=True).listening() as fake,
        open_reader(fake.url) as reader,
    ):
        assert {(await read_profile(reader))[0] for _ in range(10)} == {200}
        assert handler.reads == 10


UNUSABLE = {
    "missing": (encode_reply(*NO_PROFILE), 503),
    "older than the token": (encode_reply(*make_fields(2)), 503),
    "without the session": (encode_reply(b"{}", b'"t"', b"3", None), 401),
    "out of date": (encode_reply(b"{}", b'"t"', b"3", b"1"), 401),
    "gone": (encode_reply(b"", b"", b"4", None), 401),
    "damaged": (encode_reply(b"{}", b'"t"', b"what", b"1"), 500),
    "no hash": (b":1\r\n", 503),
}


@pytest.mark.parametrize("kind", UNUSABLE)
@run_in_loop
async def test_unusable_reply_is_not_cached(kind):
    handler, (reply, status) = CountingHandler(encode_reply(*make_fields(3))), UNUSABLE[kind]
    handler.reply = reply
    async with (
        FakeRedis(handler, supports_tracking=True).listening() as fake,
        open_reader(fake.url) as reader,
    ):
        assert {(await read_profile(reader))[0] for _ in range(5)} == {status}
        handler.reply = encode_reply(*make_fields(3))
        assert (await read_profile(reader))[0] == 200


@run_in_loop
async def test_cached_session_expires_in_time():
    handler = CountingHandler(encode_reply(b"{}", b'"t"', b"3", b"%d" % (time.time() + 2)))
    async with (
        FakeRedis(handler, supports_tracking=True).listening() as fake,
        open_reader(fake.url) as reader,
    ):
        while (await read_profile(reader))[0] == 200:
            await asyncio.sleep(0.01)
        assert (await read_profile(reader))[0] == 401
        assert handler.reads == 2


@run_in_loop
async def test_cache_has_a_byte_limit_and_evicts_the_least_recent():
    body = b"x" * 20_000
    reply = encode_reply(body, b'"t"', b"1", b"9999999999")
    handler = CountingHandler(reply)
    tokens = [session_token.issue_token(KEYS, uuid4(), 1)[0] for _ in range(100)]
    async with (
        FakeRedis(handler, supports_tracking=True).listening() as fake,
        open_reader(fake.url, cache_bytes=20 * 22_000) as reader,
    ):
        for token in tokens:
            for _ in range(2):
                assert (await read_profile(reader, token))[0] == 200
        cache = reader.redis.cache
        assert cache is not None
        assert len(cache._entries) == len(cache._people) == 20
        before = handler.reads
        assert {(await read_profile(reader, token))[0] for token in tokens[-20:]} == {200}
        assert handler.reads == before


@run_in_loop
async def test_sessions_of_a_person_share_one_cached_body():
    person = uuid4()
    issued = (session_token.issue_token(KEYS, person, 1) for _ in range(1000))
    # Two digests that begin alike would take each other's place in `ClientCache.admits`.
    tokens = list({digest[0]: token for token, digest in issued}.values())[:10]
    handler = CountingHandler(encode_reply(*make_fields(1)))
    async with (
        FakeRedis(handler, supports_tracking=True).listening() as fake,
        open_reader(fake.url) as reader,
    ):
        for token in tokens * 3:
            assert (await read_profile(reader, token))[0] == 200
        cache = reader.redis.cache
        assert cache is not None
        assert len(cache._entries) == 10
        assert len({id(entry.body) for entry in cache._entries.values()}) == 1


# --- How long it is used -------------------------------------------------------------------------


class RealRedis:
    """A real Redis, to which a profile is written directly."""

    def __init__(self, valkey: Valkey) -> None:
        self.url = valkey.url
        self.redis = redis.Redis(port=valkey.port)
        self.write(0)

    def write(self, number: int) -> None:
        end = int(time.time()) + 1000
        fields = (b"b", number, b"e", b'"t"', b"v", 3 + number, DIGEST, end)
        with self.redis.pipeline() as pipeline:
            pipeline.delete(KEY)
            pipeline.hset(KEY, items=list(fields))
            pipeline.execute()

    def count_reads(self) -> int:
        return int(self.redis.info("commandstats").get("cmdstat_hmget", {"calls": 0})["calls"])


@pytest.fixture(scope="module")
def valkey(tmp_path_factory):
    with Valkey(tmp_path_factory.mktemp("near"), "profiles") as server:
        yield server


@pytest.fixture
def real_redis(valkey: Valkey) -> RealRedis:
    return RealRedis(valkey)


async def wait_until_cached(reader: Reader) -> ClientCache:
    """Reads until the profile is cached; returns the cache."""
    cache: ClientCache | None = reader.redis.cache
    assert cache is not None
    while DIGEST not in cache._entries:
        assert (await read_profile(reader))[0] == 200
    return cache


CHANGES: dict[str, tuple[Callable[[RealRedis], Any], int]] = {
    "written": (lambda real_redis: real_redis.write(1), 200),
    "by a script": (
        lambda real_redis: real_redis.redis.eval(
            "redis.call('HDEL', KEYS[1], ARGV[1])", 1, KEY, DIGEST
        ),
        401,
    ),
    "deleted": (lambda real_redis: real_redis.redis.delete(KEY), 503),
    "flushed": (lambda real_redis: real_redis.redis.flushall(), 503),
    "cut off": (
        lambda real_redis: real_redis.redis.client_kill_filter(_type="normal", skipme=True),
        200,
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@run_in_loop
async def test_changed_profile_is_invalidated(real_redis: RealRedis, change):
    apply_change, status = CHANGES[change]
    async with open_reader(real_redis.url) as reader:
        for _ in range(3):  # tracking is requested again each time
            real_redis.write(0)
            while (await read_profile(reader)) != (200, b"0"):
                await asyncio.sleep(0.001)
            cache = await wait_until_cached(reader)
            count = real_redis.count_reads()
            assert await read_profile(reader) == (200, b"0")
            assert real_redis.count_reads() == count
            apply_change(real_redis)
            while reader.redis.cache is cache and DIGEST in cache._entries:
                await asyncio.sleep(0.001)
            while reader.redis.cache is None:
                await asyncio.sleep(0.001)
            assert (await read_profile(reader))[0] == status


@run_in_loop
async def test_entry_is_not_used_beyond_max_staleness_without_replies(
    valkey: Valkey, real_redis: RealRedis
):
    async with open_reader(real_redis.url, MAX_STALENESS) as reader:
        await wait_until_cached(reader)
        suspend(valkey)
        try:
            started_at = last = time.monotonic()
            while (await read_profile(reader))[0] == 200:
                last = time.monotonic()
                await asyncio.sleep(0.001)
        finally:
            resume(valkey)
        assert last - started_at < MAX_STALENESS + 0.2


@run_in_loop
async def test_entries_are_stale_after_the_process_was_stopped(real_redis: RealRedis):
    """The event loop cannot process an invalidation while it is stopped."""
    async with open_reader(real_redis.url, MAX_STALENESS) as reader:
        await wait_until_cached(reader)
        await reader.redis.execute(encode_command(("PING",)))
        started_at = time.monotonic()
        real_redis.write(1)
        body = (await read_profile(reader))[1]
        if time.monotonic() - started_at < MAX_STALENESS:
            assert body == b"0"  # the write has not waited, so it need not be visible yet
        threading.Event().wait(MAX_STALENESS)
        assert await read_profile(reader) == (200, b"1")


@asynccontextmanager
async def delayed_replies(port: int, delay: float) -> AsyncIterator[str]:
    """Yields the URL of a Redis whose replies arrive `delay` seconds late."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection("127.0.0.1", port)

        async def relay_replies() -> None:
            loop = asyncio.get_running_loop()
            while data := await server.read(100_000):
                loop.call_later(delay, to_client.write, data)

        tasks.add(asyncio.create_task(relay_replies()))
        while data := await client.read(100_000):
            to_server.write(data)
        to_server.close()
        to_client.close()

    async with await asyncio.start_server(serve, "127.0.0.1") as listening:
        yield f"redis://127.0.0.1:{listening.sockets[0].getsockname()[1]}/0"
        await asyncio.wait(tasks)


@pytest.mark.parametrize("writer_waits", [True, False])
@run_in_loop
async def test_write_that_waited_is_visible_despite_late_invalidations(
    real_redis: RealRedis, writer_waits: bool
):
    """The cache is in use all the time; writes that do not wait show that it matters."""
    stale_reads = 0
    async with (
        delayed_replies(real_redis.redis.get_connection_kwargs()["port"], MAX_STALENESS / 4) as url,
        open_reader(url, MAX_STALENESS) as reader,
    ):
        for number in range(1, 6):
            await wait_until_cached(reader)
            assert (await read_profile(reader))[0] == 200
            await asyncio.to_thread(real_redis.write, number)
            if writer_waits:
                await asyncio.sleep(MAX_STALENESS)
            stale_reads += await read_profile(reader) != (200, b"%d" % number)
    assert (stale_reads == 0) == writer_waits
