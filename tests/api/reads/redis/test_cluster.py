"""Redirects of Redis Cluster: followed, a bounded number of times, and errors that are none."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from local.tcp_ports import HOST
from tests.api.reads.redis.test_connection import run_in_loop
from tests.api.reads.test_redis_faults import KEYS, NO_PROFILE, TOKEN, encode_reply
from tests.support.fake_redis import Command, FakeRedis
from tests.support.http_request import Reader

PROFILE = encode_reply(b"{}", b'"tag"', b"3", b"9999999999")  # body, ETag, version, expiry


class FakeNode(FakeRedis):
    """A primary with all slots, if it is the first of `nodes`; `on_read` replies to HMGET."""

    def __init__(self, nodes: "list[FakeNode]", on_read: Callable[[Command], Awaitable[bytes]]):
        super().__init__(self._reply, supports_tracking=False)
        self._nodes = nodes
        self.on_read = on_read
        self.fence_reply = b"$-1\r\n"
        self.key_count, self.run_id = 0, b"first"
        self.asked: list[bytes] = []  # commands that concern people, by name

    async def reply(self, command: Command) -> bytes | None:
        if command == [b"INFO", b"server"]:
            return b"$%d\r\nrun_id:%b\r\n" % (7 + len(self.run_id), self.run_id)
        return await super().reply(command)

    async def _reply(self, command: Command) -> bytes:
        match command:
            case [b"CLUSTER", b"INFO"]:
                return b"$23\r\ncluster_current_epoch:3\r\n"
            case [b"CLUSTER", b"SHARDS"]:
                return b"*%d\r\n%b" % (len(self._nodes), b"".join(map(self._shard, self._nodes)))
            case [b"DBSIZE"]:
                return b":%d\r\n" % self.key_count
            case [b"HGET", *_]:
                return self.fence_reply
        self.asked.append(command[0])
        return await self.on_read(command) if command[0] == b"HMGET" else b"+OK\r\n"

    def _shard(self, node: "FakeNode") -> bytes:
        slots = b"*2\r\n:0\r\n:16383\r\n" if node is self._nodes[0] else b"*0\r\n"
        fields = {b"endpoint": HOST.encode(), b"role": b"master", b"health": b"online"}
        texts = b"".join(
            b"$%d\r\n%b\r\n" % (len(text), text) for pair in fields.items() for text in pair
        )
        port = b"$4\r\nport\r\n:%d\r\n" % node.port
        return b"*4\r\n$5\r\nslots\r\n%b$5\r\nnodes\r\n*1\r\n*8\r\n%b%b" % (slots, port, texts)


@asynccontextmanager
async def open_cluster(
    *on_reads: Callable[[Command], Awaitable[bytes]], check_interval: float = 60.0
) -> AsyncIterator[tuple[Reader, list[FakeNode]]]:
    """Yields a connected reader, and its nodes."""
    nodes: list[FakeNode] = []
    async with AsyncExitStack() as stack:
        for on_read in on_reads:
            nodes.append(await stack.enter_async_context(FakeNode(nodes, on_read).listening()))  # type: ignore[arg-type]  # it yields itself
        url = f"redis+cluster://{HOST}:{nodes[0].port}"
        options = {"timeout": 1.0, "max_staleness": 0, "check_interval": check_interval}
        reader = Reader(url, KEYS, miss_timeout=0.2, **options)
        reader.start()
        stack.push_async_callback(reader.close)
        while reader.redis.statuses().count("ok") < len(nodes):
            await asyncio.sleep(0.001)
        yield reader, nodes


def reply_with(*replies: bytes) -> Callable[[Command], Awaitable[bytes]]:
    """Returns a handler that gives these replies, and the last one again and again."""
    remaining = list(replies)

    async def reply(command: Command) -> bytes:
        return remaining.pop(0) if len(remaining) > 1 else remaining[0]

    return reply


@run_in_loop
async def test_key_that_is_being_moved_is_asked_for_at_its_new_node():
    async with open_cluster(reply_with(b""), reply_with(PROFILE)) as (reader, (first, second)):
        first.on_read = reply_with(b"-ASK 1 %b:%d\r\n" % (HOST.encode(), second.port))
        assert (await reader.read(TOKEN)).status == 200
        assert second.asked == [b"ASKING", b"HMGET"]


@run_in_loop
async def test_moved_key_is_read_from_its_node_of_which_only_the_port_is_told():
    async with open_cluster(reply_with(b""), reply_with(PROFILE)) as (reader, (first, second)):
        first.on_read = reply_with(b"-MOVED 1 :%d\r\n" % second.port)
        assert (await reader.read(TOKEN)).status == 200
        assert second.asked == [b"HMGET"]


@run_in_loop
async def test_read_is_repeated_after_try_again():
    handler = reply_with(*[b"-TRYAGAIN Multiple keys request during rehashing\r\n"] * 3, PROFILE)
    async with open_cluster(handler) as (reader, _):
        assert (await reader.read(TOKEN)).status == 200


@pytest.mark.parametrize("error", [b"MOVED 1 %b:%d", b"ASK 1 %b:%d"])
@run_in_loop
async def test_nodes_that_redirect_to_each_other_are_unavailable(error: bytes):
    async with open_cluster(reply_with(b""), reply_with(b"")) as (reader, nodes):
        for node, other in zip(nodes, reversed(nodes), strict=True):
            node.on_read = reply_with(b"-%b\r\n" % (error % (HOST.encode(), other.port)))
        assert (await reader.read(TOKEN)).status == 503
        assert sum(node.asked.count(b"HMGET") for node in nodes) < 10


@run_in_loop
async def test_slot_without_a_node_is_unavailable_at_once():
    handler = reply_with(b"-CLUSTERDOWN Hash slot not served\r\n")
    async with open_cluster(handler) as (reader, (node,)):
        started_at = time.monotonic()
        assert (await reader.read(TOKEN)).status == 503
        assert time.monotonic() - started_at < 0.2
        assert node.asked == [b"HMGET"]


@run_in_loop
async def test_primary_that_is_cut_off_from_the_others_is_left():
    """Its cluster state is "fail", and what readers have cached of it may be old."""
    async with open_cluster(reply_with(PROFILE), check_interval=0.02) as (reader, (node,)):
        node.fence_reply = b"-MOVED 1 127.0.0.1:1\r\n"
        assert reader.redis.status == "ok"
        await asyncio.sleep(0.1)  # several checks: the lowest slot has been moved, no more
        assert reader.redis.status == "ok"
        node.fence_reply = b"-CLUSTERDOWN The cluster is down\r\n"
        while reader.redis.status == "ok":
            await asyncio.sleep(0.001)
        assert reader.redis.status == "unavailable"


@run_in_loop
async def test_primary_with_data_and_without_a_fence_is_not_read():
    """It may have come back from a snapshot in which its fence was in a slot that it lost since."""
    async with open_cluster(reply_with(PROFILE), check_interval=0.02) as (reader, (node,)):
        node.key_count = 5
        await asyncio.sleep(0.1)  # several checks: it was empty, and has got slots with data
        assert reader.redis.status == "ok"
        node.run_id = b"another"
        while reader.redis.status != "stale":
            await asyncio.sleep(0.001)
        assert (await reader.read(TOKEN)).status == 503


@run_in_loop
async def test_missing_profile_of_a_key_that_is_being_moved_is_awaited():
    missing, late = encode_reply(*NO_PROFILE), encode_reply(b"3", b'"tag"')
    on_second = reply_with(missing, encode_reply(None, None), late, PROFILE)
    async with open_cluster(reply_with(b""), on_second) as (reader, (first, second)):
        first.on_read = reply_with(b"-ASK 1 %b:%d\r\n" % (HOST.encode(), second.port))
        assert (await reader.read(TOKEN)).status == 200
        assert first.asked.count(b"ZINCRBY") == 1
