"""The reader on a Redis that misbehaves: every answer in time, and none but those described."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import orjson
import pytest
from structlog.testing import capture_logs

from domain import session
from domain.keys import KeyRing
from tests.asking import Answer, Reads
from tests.fake_redis import Behaviour, Command, FakeRedis, HangUp, saying, silence
from tests.test_reads_connection import in_a_loop

KEYS = KeyRing(["a secret of these tests"])
PERSON = uuid4()
TOKEN, DIGEST = session.issue(KEYS, PERSON, 3)


@asynccontextmanager
async def reader(
    behaviour: Behaviour, patience: float = 0.2
) -> AsyncIterator[tuple[Reads, FakeRedis]]:
    async with FakeRedis(behaviour).listening() as fake:
        reads = Reads(fake.url, KEYS, timeout=patience, miss_timeout=patience, max_staleness=0)
        reads.start(asyncio.get_running_loop())
        await asyncio.sleep(0)
        try:
            yield reads, fake
        finally:
            await reads.close()


def bulk(*values: bytes | None) -> bytes:
    parts = [b"$-1\r\n" if v is None else b"$%d\r\n%b\r\n" % (len(v), v) for v in values]
    return b"*%d\r\n" % len(parts) + b"".join(parts)


type Fields = tuple[bytes | None, ...]  # body, ETag, version, end of the session

NOTHING: Fields = (None, None, None, None)


def fields(version: int, etag: bytes | None = b'"tag"') -> Fields:
    return b"{}", etag, b"%d" % version, b"%d" % (time.time() + 60)


def word_of(answer: Answer) -> str:
    word: str = orjson.loads(answer.body)["code"]
    return word


async def hang_up(command: Command) -> bytes:
    raise HangUp(b"*4\r\n$3\r\nab")


class Filling:
    """A Redis to which the profile comes some time after it was asked for."""

    def __init__(self, before: Fields, after_looks: int) -> None:
        self.before, self.looks, self.wishes = before, after_looks, 0

    async def __call__(self, command: Command) -> bytes:
        is_look = command[0] == b"HMGET" and command[2:] == [b"v", b"e"]
        if command[0] == b"ZINCRBY":
            assert command[1:] == [b"wanted", b"1", PERSON.hex.encode()]
            self.wishes += 1
            return b"$1\r\n9\r\n"
        self.looks -= is_look
        found = fields(3) if self.looks < 0 else self.before
        return bulk(found[2], found[1]) if is_look else bulk(*found)


NEVER = 1_000_000


@pytest.mark.parametrize(
    "behaviour",
    [
        silence,
        hang_up,
        saying(b"-OOM command not allowed when used memory > 'maxmemory'\r\n"),
        saying(b"-NOPERM no permissions\r\n"),
        saying(b"+OK\r\n"),
        saying(b":1\r\n"),
        saying(bulk(b"one")),
        saying(b"what\r\n"),
        Filling(NOTHING, NEVER),
        Filling(fields(version=2), NEVER),
    ],
    ids=[
        "silent",
        "hangs up",
        "full",
        "forbids",
        "ok",
        "number",
        "short",
        "nonsense",
        "empty",
        "old",
    ],
)
@in_a_loop
async def test_redis_without_a_usable_reply_is_a_503_in_time(behaviour):
    async with reader(behaviour) as (reads, _):
        for _ in range(3):
            began = time.monotonic()
            answer = await reads.read(TOKEN)
            assert time.monotonic() - began < 0.7
            assert (answer.status, word_of(answer)) == (503, "unavailable")
            assert answer.headers["retry-after"] == "1"


@in_a_loop
async def test_malformed_hash_is_a_500():
    async with reader(saying(bulk(b"{}", b'"t"', b"not a number", b"1"))) as (reads, _):
        with capture_logs() as logs:
            answer = await reads.read(TOKEN)
        assert (answer.status, word_of(answer)) == (500, "internal_error")
        failed = [line["request_id"] for line in logs if line["event"] == "profile_read_failed"]
        assert failed == [answer.headers["x-request-id"]]


@in_a_loop
async def test_revoked_session_and_deleted_person_are_a_401():
    for reply in (bulk(b"{}", b'"t"', b"3", None), bulk(b"{}", b'"t"', b"3", b"1"),
                  bulk(b"", b'"t"', b"4", b"9999999999")):  # fmt: skip  # one glance
        async with reader(saying(reply)) as (reads, _):
            answer = await reads.read(TOKEN)
            assert (answer.status, word_of(answer)) == (401, "invalid_token")


@in_a_loop
async def test_invalid_token_is_rejected_without_a_redis_command():
    async with reader(saying(bulk(*fields(3)))) as (reads, fake):
        other = session.issue(KeyRing(["another secret"]), PERSON, 3)[0]
        turned = TOKEN[:-1] + ("B" if TOKEN.endswith("A") else "A")
        for token in (other, turned, "A" * 100, ""):
            assert (await reads.read(token)).status == 401
        assert fake.commands == []


@pytest.mark.parametrize(
    "before",
    [NOTHING, fields(version=2), fields(version=3, etag=None)],
    ids=["missing", "older", "not yet for readers"],
)
@in_a_loop
async def test_missing_or_stale_profile_is_requested_once_and_awaited(before):
    redis = Filling(before, after_looks=3)
    async with reader(redis, patience=5) as (reads, fake):
        answers = await asyncio.gather(*(reads.read(TOKEN) for _ in range(200)))
        assert {answer.status for answer in answers} == {200}
        assert redis.wishes == 1
        assert len(fake.commands) == 2 * 200 + 1 + 4  # each looks twice; four looks for all


@in_a_loop
async def test_client_that_disconnects_does_not_cancel_a_shared_miss():
    async with reader(Filling(NOTHING, after_looks=3), patience=5) as (reads, _):
        first = asyncio.ensure_future(reads.read(TOKEN))
        second = asyncio.ensure_future(reads.read(TOKEN))
        await asyncio.sleep(0.01)
        first.cancel()
        assert (await second).status == 200
