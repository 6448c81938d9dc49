"""Django behind the front door: bounded threads, bounded waits, bodies read before a thread."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import orjson
import pytest

from api.bridge import Bridge
from api.server.request import BodyError
from tests.asking import Asked, post
from tests.test_reads_connection import in_a_loop


def tell(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("X-Path", environ["PATH_INFO"])])
    return [environ["CONTENT_LENGTH"].encode(), b":", environ["wsgi.input"].read()]


def word_of(answer: tuple[int, Any, bytes]) -> tuple[int, str]:
    return answer[0], orjson.loads(answer[2])["code"]


@in_a_loop
async def test_a_body_is_counted_while_it_is_read_and_one_octet_too_many_is_handed_on():
    with closing(Bridge(tell, threads=1, body_most=5)) as bridge:
        answer = await bridge.answer(post(b"abc", b"de"))
        assert answer == (200, [("X-Path", "/Ã¤")], b"5:abcde")
        answer = await bridge.answer(post(b"abc", b"defg", ends=False))
        assert answer[2] == b"6:abcdef"


@in_a_loop
async def test_no_more_bodies_are_read_at_a_time_than_there_is_room_for():
    with closing(Bridge(tell, threads=1, body_most=5, patience=0.2, reading=2)) as bridge:
        ways = [Asked() for _ in range(3)]
        slow = [post(b"a", ends=False, way=way, expect="100-continue") for way in ways]
        asked = [asyncio.ensure_future(bridge.answer(each)) for each in slow]
        await asyncio.sleep(0.05)
        assert [way.told for way in ways] == [["go on"], ["go on"], []]
        assert [word_of(await each) for each in asked] == [(400, "bad_request")] * 3
        assert (await bridge.answer(post(b"b")))[2] == b"1:b"


@in_a_loop
async def test_a_body_that_is_cut_is_given_to_nobody():
    with closing(Bridge(tell, threads=1, body_most=5)) as bridge:
        request = post(b"a", ends=False)
        asked = asyncio.ensure_future(bridge.answer(request))
        await asyncio.sleep(0)
        request.ended(failed=True)
        with pytest.raises(BodyError):
            await asked


@in_a_loop
async def test_a_body_that_does_not_come_holds_no_thread_and_is_a_400_in_time():
    with closing(Bridge(tell, threads=1, body_most=5, patience=0.2)) as bridge:
        slow = asyncio.ensure_future(bridge.answer(post(b"a", ends=False)))
        await asyncio.sleep(0.05)
        assert (await bridge.answer(post()))[0] == 200
        assert word_of(await slow) == (400, "bad_request")


@in_a_loop
async def test_who_finds_all_threads_taken_waits_in_a_bounded_row_and_gets_a_503_in_time():
    let_go = threading.Event()

    def hang(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        assert let_go.wait(10)
        return tell(environ, start_response)

    with closing(Bridge(hang, threads=2, body_most=5, waiting=3, patience=0.3)) as bridge:
        asked = [asyncio.ensure_future(bridge.answer(post())) for _ in range(8)]
        await asyncio.sleep(0.1)
        # Three beyond the row's end know at once; the three in it after their patience.
        assert sum(each.done() for each in asked) == 3
        began = time.monotonic()
        done, under_way = await asyncio.wait(asked, timeout=1)
        assert time.monotonic() - began > 0.9
        assert [word_of(each.result()) for each in done] == [(503, "unavailable")] * 6
        let_go.set()
        assert [(await each)[0] for each in under_way] == [200, 200]
        assert (await bridge.answer(post()))[0] == 200
