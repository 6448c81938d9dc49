"""Django behind the front door: bounded threads, bounded waits, bodies read before a thread."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from typing import Any

import orjson

from api.bridge import Bridge
from tests.test_reads_app import Headers
from tests.test_reads_connection import in_a_loop


class Request:
    """A request as the server tells of it."""

    method, path, query_string, http_version = "POST", "/ä", "a=1", "1.1"
    client, server, scheme = "127.0.0.1:2", "127.0.0.1:80", "http"
    headers = Headers()


async def chunks(*parts: bytes, forever: bool = False) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if forever:
        await asyncio.Event().wait()


def tell(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("X-Path", environ["PATH_INFO"])])
    return [environ["CONTENT_LENGTH"].encode(), b":", environ["wsgi.input"].read()]


def word_of(answer: tuple[int, Any, bytes]) -> tuple[int, str]:
    return answer[0], orjson.loads(answer[2])["code"]


@in_a_loop
async def test_a_body_is_counted_while_it_is_read_and_one_octet_too_many_is_handed_on():
    with closing(Bridge(tell, threads=1, body_most=5)) as bridge:
        answer = await bridge.answer(Request(), chunks(b"abc", b"de"))
        assert answer == (200, [("x-path", "/Ã¤")], b"5:abcde")
        answer = await bridge.answer(Request(), chunks(b"abc", b"defg", forever=True))
        assert answer[2] == b"6:abcdef"


@in_a_loop
async def test_no_more_bodies_are_read_at_a_time_than_there_is_room_for():
    began: list[int] = []

    async def slow(number: int) -> AsyncIterator[bytes]:
        began.append(number)
        yield b"a"
        await asyncio.Event().wait()

    with closing(Bridge(tell, threads=1, body_most=5, patience=0.2, reading=2)) as bridge:
        asked = [asyncio.ensure_future(bridge.answer(Request(), slow(i))) for i in range(3)]
        while len(began) < 2:
            await asyncio.sleep(0)
        assert began == [0, 1]
        assert [word_of(await each) for each in asked] == [(400, "bad_request")] * 3
        assert (await bridge.answer(Request(), chunks(b"b")))[2] == b"1:b"


@in_a_loop
async def test_a_body_that_does_not_come_holds_no_thread_and_is_a_400_in_time():
    with closing(Bridge(tell, threads=1, body_most=5, patience=0.2)) as bridge:
        slow = asyncio.ensure_future(bridge.answer(Request(), chunks(b"a", forever=True)))
        await asyncio.sleep(0.05)
        assert (await bridge.answer(Request(), chunks()))[0] == 200
        assert word_of(await slow) == (400, "bad_request")


@in_a_loop
async def test_who_finds_all_threads_taken_waits_in_a_bounded_row_and_gets_a_503_in_time():
    let_go = threading.Event()

    def hang(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        assert let_go.wait(10)
        return tell(environ, start_response)

    with closing(Bridge(hang, threads=2, body_most=5, waiting=3, patience=0.3)) as bridge:
        asked = [asyncio.ensure_future(bridge.answer(Request(), chunks())) for _ in range(8)]
        await asyncio.sleep(0.1)
        # Three beyond the row's end know at once; the three in it after their patience.
        assert sum(each.done() for each in asked) == 3
        began = time.monotonic()
        done, under_way = await asyncio.wait(asked, timeout=1)
        assert time.monotonic() - began > 0.9
        assert [word_of(each.result()) for each in done] == [(503, "unavailable")] * 6
        let_go.set()
        assert [(await each)[0] for each in under_way] == [200, 200]
        assert (await bridge.answer(Request(), chunks()))[0] == 200
