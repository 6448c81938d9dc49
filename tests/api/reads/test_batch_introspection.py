"""Introspection of many tokens at once, with a Redis that misbehaves."""

import asyncio
import time
from uuid import uuid4

import orjson
import pytest

from api.reads.introspection_body import TokenList
from api.reads.redis.cluster import make_redis
from domain.model import session_token
from domain.model.errors import RollcallError, ServiceUnavailable
from domain.model.keyring import Keyring
from domain.redis_url import parse_url
from tests.api.reads.redis.test_connection import run_in_loop
from tests.support.fake_redis import Command, FakeRedis, Handler, never_reply

KEYS = Keyring(["a secret of these tests"])
UNAVAILABLE = {"error": "unavailable"}


def issue_tokens(count: int) -> list[str]:
    return [session_token.issue_token(KEYS, uuid4(), 3)[0] for _ in range(count)]


def encode_reply(body: bytes, version: bytes = b"3") -> bytes:
    fields = body, b'"tag"', version, b"%d" % (time.time() + 60)
    return b"*4\r\n" + b"".join(b"$%d\r\n%b\r\n" % (len(each), each) for each in fields)


async def introspect(
    handler: Handler, tokens: list[str], lists: int = 1, **options: int
) -> list[bytes | RollcallError]:
    """Returns the results of so many lists of these tokens at once, with claims."""
    # Not earlier: they read the settings, which are those of the environment by then.
    from api.reads.batch_introspection import BatchIntrospector
    from api.reads.cache_miss import MissCoalescer

    results: list[bytes | RollcallError] = []
    async with FakeRedis(handler).listening() as fake:
        redis = make_redis(parse_url(fake.url), timeout=0.3, check_interval=60.0, **options)
        redis.start()
        await asyncio.sleep(0)
        introspector = BatchIntrospector(redis, KEYS, MissCoalescer(redis, 0.1))
        try:
            for _ in range(lists):
                introspector.start(TokenList(tokens, with_claims=True), results.append)
            async with asyncio.timeout(10):
                while len(results) < lists:
                    await asyncio.sleep(0.005)
        finally:
            await redis.close()
    return results


async def introspect_once(handler: Handler, tokens: list[str], **options: int) -> list[object]:
    (result,) = await introspect(handler, tokens, **options)
    assert isinstance(result, bytes)
    states: list[object] = orjson.loads(result)["results"]
    assert len(states) == len(tokens)
    return states


@run_in_loop
async def test_response_has_a_limit_and_the_rest_is_to_be_asked_for_again():
    body = orjson.dumps({"hobbies": ["x" * 20_000]})

    async def reply(command: Command) -> bytes:
        return encode_reply(body)

    states = await introspect_once(reply, issue_tokens(300))
    assert 80 < states.count(UNAVAILABLE) < 100
    assert UNAVAILABLE not in states[:50]


@run_in_loop
async def test_malformed_hash_loses_no_other_token():
    tokens = issue_tokens(40)
    bad = session_token.verify_token(KEYS, tokens[7]).digest

    async def reply(command: Command) -> bytes:
        return encode_reply(b"{}", version=b"x" if bad in command else b"3")

    states = await introspect_once(reply, tokens)
    assert [number for number, state in enumerate(states) if state == UNAVAILABLE] == [7]


@run_in_loop
async def test_more_tokens_than_may_be_pending_are_unavailable():
    async def reply(command: Command) -> bytes:
        return encode_reply(b"{}")

    states = await introspect_once(reply, issue_tokens(32), max_pending=20)
    assert 0 < states.count(UNAVAILABLE) < 32


@pytest.mark.parametrize("lists", [1, 40])
@run_in_loop
async def test_silent_redis_ends_in_an_error_in_time(lists: int):
    started_at = time.monotonic()
    results = await introspect(never_reply, issue_tokens(50), lists)
    assert all(isinstance(result, ServiceUnavailable) for result in results)
    assert time.monotonic() - started_at < 5
