"""The reader with a Redis that misbehaves: every response in time, and documented."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import orjson
import pytest
from structlog.testing import capture_logs

from domain.model import session_token
from domain.model.keyring import Keyring
from tests.api.reads.redis.test_connection import run_in_loop
from tests.support.fake_redis import (
    CloseConnection,
    Command,
    FakeRedis,
    Handler,
    always_reply,
    never_reply,
)
from tests.support.http_request import Reader, Response

KEYS = Keyring(["a secret of these tests"])
PERSON = uuid4()
TOKEN, DIGEST = session_token.issue_token(KEYS, PERSON, 3)


@asynccontextmanager
async def open_reader(
    handler: Handler, timeout: float = 0.2
) -> AsyncIterator[tuple[Reader, FakeRedis]]:
    async with FakeRedis(handler).listening() as fake:
        reader = Reader(fake.url, KEYS, timeout=timeout, miss_timeout=timeout, max_staleness=0)
        reader.start()
        await asyncio.sleep(0)
        try:
            yield reader, fake
        finally:
            await reader.close()


def encode_reply(*values: bytes | None) -> bytes:
    parts = [b"$-1\r\n" if v is None else b"$%d\r\n%b\r\n" % (len(v), v) for v in values]
    return b"*%d\r\n" % len(parts) + b"".join(parts)


type Fields = tuple[bytes | None, ...]  # body, ETag, version, expiry of the session

NO_PROFILE: Fields = (None, None, None, None)


def make_fields(version: int, etag: bytes | None = b'"tag"') -> Fields:
    return b"{}", etag, b"%d" % version, b"%d" % (time.time() + 60)


def get_problem_code(response: Response) -> str:
    code: str = orjson.loads(response.body)["code"]
    return code


async def close_connection(command: Command) -> bytes:
    raise CloseConnection(b"*4\r\n$3\r\nab")


class LateRedis:
    """A Redis in which a profile appears some time after the backfill request."""

    def __init__(self, before: Fields, polls_needed: int) -> None:
        self.before, self.polls, self.backfill_requests = before, polls_needed, 0

    async def __call__(self, command: Command) -> bytes:
        is_poll = command[0] == b"HMGET" and command[2:] == [b"v", b"e"]
        if command[0] == b"ZINCRBY":
            assert command[1:] == [b"profile:backfill", b"1", PERSON.hex.encode()]
            self.backfill_requests += 1
            return b"$1\r\n9\r\n"
        self.polls -= is_poll
        fields = make_fields(3) if self.polls < 0 else self.before
        return encode_reply(fields[2], fields[1]) if is_poll else encode_reply(*fields)


NEVER = 1_000_000


@pytest.mark.parametrize(
    "handler",
    [
        never_reply,
        close_connection,
        always_reply(b"-OOM command not allowed when used memory > 'maxmemory'\r\n"),
        always_reply(b"-NOPERM no permissions\r\n"),
        always_reply(b"+OK\r\n"),
        always_reply(b":1\r\n"),
        always_reply(encode_reply(b"one")),
        always_reply(b"what\r\n"),
        LateRedis(NO_PROFILE, NEVER),
        LateRedis(make_fields(version=2), NEVER),
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
@run_in_loop
async def test_redis_without_a_usable_reply_is_a_503_in_time(handler):
    async with open_reader(handler) as (reader, _):
        for _ in range(3):
            started_at = time.monotonic()
            response = await reader.read(TOKEN)
            assert time.monotonic() - started_at < 0.7
            assert (response.status, get_problem_code(response)) == (503, "unavailable")
            assert response.headers["retry-after"] == "1"


@run_in_loop
async def test_malformed_hash_is_a_500():
    async with open_reader(always_reply(encode_reply(b"{}", b'"t"', b"not a number", b"1"))) as (
        reader,
        _,
    ):
        with capture_logs() as logs:
            response = await reader.read(TOKEN)
        assert (response.status, get_problem_code(response)) == (500, "internal_error")
        failed = [line["request_id"] for line in logs if line["event"] == "profile_read_failed"]
        assert failed == [response.headers["x-request-id"]]


@run_in_loop
async def test_revoked_session_and_deleted_person_are_a_401():
    for reply in (encode_reply(b"{}", b'"t"', b"3", None), encode_reply(b"{}", b'"t"', b"3", b"1"),
                  encode_reply(b"", b'"t"', b"4", b"9999999999")):  # fmt: skip  # one glance
        async with open_reader(always_reply(reply)) as (reader, _):
            response = await reader.read(TOKEN)
            assert (response.status, get_problem_code(response)) == (401, "invalid_token")


@run_in_loop
async def test_invalid_token_is_rejected_without_a_redis_command():
    async with open_reader(always_reply(encode_reply(*make_fields(3)))) as (reader, fake):
        other = session_token.issue_token(Keyring(["another secret"]), PERSON, 3)[0]
        altered = TOKEN[:-1] + ("B" if TOKEN.endswith("A") else "A")
        for token in (other, altered, "A" * 100, ""):
            assert (await reader.read(token)).status == 401
        assert fake.commands == []


@pytest.mark.parametrize(
    "before",
    [NO_PROFILE, make_fields(version=2), make_fields(version=3, etag=None)],
    ids=["missing", "older", "not yet for readers"],
)
@run_in_loop
async def test_missing_or_stale_profile_is_requested_once_and_awaited(before):
    redis = LateRedis(before, polls_needed=3)
    async with open_reader(redis, timeout=5) as (reader, fake):
        responses = await asyncio.gather(*(reader.read(TOKEN) for _ in range(200)))
        assert {response.status for response in responses} == {200}
        assert redis.backfill_requests == 1
        # Two reads each, one backfill request, and four polls for all.
        assert len(fake.commands) == 2 * 200 + 1 + 4


@run_in_loop
async def test_client_that_disconnects_does_not_cancel_a_shared_miss():
    async with open_reader(LateRedis(NO_PROFILE, polls_needed=3), timeout=5) as (reader, _):
        first = asyncio.ensure_future(reader.read(TOKEN))
        second = asyncio.ensure_future(reader.read(TOKEN))
        await asyncio.sleep(0.01)
        first.cancel()
        assert (await second).status == 200
