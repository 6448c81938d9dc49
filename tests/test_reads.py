"""The front door: what a read is answered with, and that every read is answered."""

import itertools
import os
import random
import resource
import secrets
import signal
import socket
import threading
import time
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any

import httpx
import pytest

from local.machine import HOST, child_pids
from local.processes import Process, wait_any
from local.stack import Stack
from tests.someone import Rollcall, Someone, eventually, read_process, reading_again

PROFILE = "/api/v1/profile/"
ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
    "x-request-id": "of-this-test",
}
CACHING = {"cache-control": "private, no-cache", "vary": "Authorization", "etag": "{etag}"}
FOUND = CACHING | {"content-type": "application/json", "content-length": "{length}"}
PROBLEM = {"content-type": "application/problem+json", "cache-control": "no-store"}
REFUSED = PROBLEM | {"www-authenticate": "Bearer", "vary": "Authorization"}
WRONG = PROBLEM | {"allow": "GET, HEAD, PATCH, DELETE"}
RIGHT = {"authorization": "Bearer {token}"}
REQUESTS: dict[str, tuple[dict[str, str], int, dict[str, str]]] = {
    "a right token": (RIGHT, 200, FOUND),
    "no token": ({}, 401, REFUSED),
    "a longer token": ({"authorization": "Bearer {token}A"}, 401, REFUSED),
    "another scheme": ({"authorization": "Basic {token}"}, 401, REFUSED),
    "the current tag": (RIGHT | {"if-none-match": "{etag}"}, 304, CACHING),
    "the current tag, weak": (RIGHT | {"if-none-match": "W/{etag}"}, 304, CACHING),
    "any tag": (RIGHT | {"if-none-match": "*"}, 304, CACHING),
    "two tags": (RIGHT | {"if-none-match": '"a", {etag}'}, 304, CACHING),
    "another tag": (RIGHT | {"if-none-match": "{etag}x"}, 200, FOUND),
}


@pytest.mark.parametrize("kind", REQUESTS)
@pytest.mark.parametrize("path", [PROFILE, "/api/v1/profile", "/api/v1/profile/?x=%20"])
def test_read_has_the_expected_status_and_headers(rollcall: Rollcall, kind, path):
    someone = rollcall.sign_up()
    body = someone.profile().content
    values = {
        "token": someone.token,
        "etag": someone.profile().headers["etag"],
        "length": str(len(body)),
    }
    given, status, expected = REQUESTS[kind]
    sent = {name: value.format(**values) for name, value in given.items()}
    expected = {name: value.format(**values) for name, value in expected.items()} | ALWAYS
    for method in ("GET", "HEAD"):
        answer = rollcall.http.request(method, path, headers=sent | ALWAYS)
        got = dict(answer.headers)
        del got["date"]
        if status != 200:
            del got["content-length"]
        assert (answer.status_code, got) == (status, expected)
        if status == 200:
            assert answer.content == (b"" if method == "HEAD" else body)


@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS", "TRACE"])
def test_other_method_is_a_405_with_allow(rollcall: Rollcall, method):
    answer = rollcall.http.request(method, PROFILE, headers=ALWAYS)
    assert answer.status_code == 405
    assert (WRONG | ALWAYS).items() <= dict(answer.headers).items()


def test_read_for_an_unknown_host_is_a_400(rollcall: Rollcall):
    answer = rollcall.sign_up().profile(Host="evil.example")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


# --- Redis ---------------------------------------------------------------------------------------


def test_forged_tokens_never_reach_redis(django_here, rollcall: Rollcall):
    from domain.keys import KEY_ID_BYTES
    from domain.stores import keys
    from domain.stores.profiles import redis

    def commands() -> int:
        stats = redis().info("commandstats")
        return sum(
            calls["calls"]
            for name, calls in stats.items()
            if name.split("_")[1] in ("hmget", "zincrby")
        )

    rollcall.sign_up().settled()
    before = commands()
    for _ in range(300):
        # The format octet and the key's id are right; all that is missing is the MAC.
        claims = b"\x01" + keys.ring().current.id + secrets.token_bytes(70 - KEY_ID_BYTES + 4)
        token = urlsafe_b64encode(claims[:75]).decode()
        answer = rollcall.http.get(PROFILE, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401
    assert commands() == before


def test_hung_redis_is_a_503_and_recovers_within_a_second(
    stack: Stack, rollcall: Rollcall
):
    someone = rollcall.sign_up()
    stack.services["profiles"].suspend()
    try:
        with ThreadPoolExecutor(16) as pool:
            for status, took in pool.map(lambda _: timed(someone), range(64)):
                assert status == 503
                assert took < 2  # a deadline of one second, on a machine that is busy
    finally:
        stack.services["profiles"].resume()
    assert eventually(lambda: someone.profile().status_code == 200, within=1)
    reading_again(stack)


def timed(someone: Someone) -> tuple[int, float]:
    began = time.monotonic()
    return someone.profile().status_code, time.monotonic() - began


def test_flushed_redis_is_backfilled_with_only_200_and_503(
    django_here, rollcall: Rollcall, many: int
):
    from domain.stores.profiles import redis

    people = [rollcall.sign_up() for _ in range(10 * many)]
    for someone in people:
        someone.settled()
    seen: Counter[int] = Counter()
    with readers(people, lambda _, answer: seen.update([answer.status_code])):
        eventually(lambda: seen[200] > 50)
        redis().flushall()
        eventually(lambda: all(p.profile().status_code == 200 for p in people), within=10)
    assert set(seen) <= {200, 503}


def test_concurrent_misses_send_one_backfill_request(
    stack: Stack, django_here, rollcall: Rollcall
):
    from domain.stores.profiles import redis

    someone = rollcall.sign_up()
    someone.settled()
    person = someone.answer.json()["id"].replace("-", "")
    stack.services["relay"].suspend()
    try:
        eventually(lambda: not redis().exists("wanted"))
        redis().delete(f"p:{person}")
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: someone.profile().status_code, range(20)))
        asked = redis().zscore("wanted", person)
    finally:
        stack.services["relay"].resume()
    assert set(answers) == {503}
    assert asked is None or asked <= 2 * len(web_workers(stack)) * 2


# --- Clients -------------------------------------------------------------------------------------


def request_of(someone: Someone, more: str = "") -> bytes:
    head = f"GET {PROFILE} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {someone.token}\r\n"
    return f"{head}{more}\r\n".encode()


def test_pipelined_requests_are_answered_in_order(stack: Stack, rollcall: Rollcall):
    people = [rollcall.sign_up() for _ in range(5)]
    with socket.create_connection((HOST, stack.port), timeout=10) as connection:
        connection.sendall(b"".join(request_of(someone) for someone in people))
        stream = connection.makefile("rb")
        for someone in people:
            assert someone.body["email"].encode() in read_answer(stream)


def read_answer(stream: Any) -> bytes:
    """The body of the next answer."""
    length = 0
    while (line := stream.readline()) != b"\r\n":
        assert line, "the connection ended"
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    body: bytes = stream.read(length)
    return body


def test_incomplete_request_blocks_no_other(
    stack: Stack, rollcall: Rollcall
):
    someone = rollcall.sign_up()
    request = request_of(someone)
    halves = [socket.create_connection((HOST, stack.port), timeout=10) for _ in range(50)]
    for half in halves:
        half.sendall(request[:60])
    assert someone.profile().status_code == 200
    for half in halves:
        half.sendall(request[60:])
        assert someone.body["email"].encode() in read_answer(half.makefile("rb"))
        half.close()


def test_client_that_disconnects_in_a_request_affects_no_other(stack: Stack, rollcall: Rollcall):
    someone = rollcall.sign_up()
    half_a_body = b"POST /api/v1/signup/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"
    for request in (request_of(someone), request_of(someone)[:40], half_a_body):
        for _ in range(50):
            with socket.create_connection((HOST, stack.port)) as connection:
                connection.sendall(request)
    for _ in range(50):
        assert someone.profile().json() == someone.body


@pytest.fixture
def many_files() -> Iterator[int]:
    """As many open files as the machine lets us and the processes that we start have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_thousands_of_idle_connections_block_no_read(
    many_files: int, another_web: tuple[Process, str], rollcall: Rollcall, many: int
):
    someone = rollcall.sign_up()
    _, url = another_web
    address = HOST, int(url.rpartition(":")[2])
    count = min(1_500 if many == 1 else 10_000, many_files - 500)
    with ExitStack() as idle:
        for n in range(count):
            connection = idle.enter_context(socket.create_connection(address, timeout=10))
            connection.sendall(request_of(someone))
            if n % 500 == 0 or n == count - 1:
                assert someone.body["email"].encode() in read_answer(connection.makefile("rb"))


class readers:  # noqa: N801  # used like a function
    """Threads that read profiles without end, until the block is left."""

    def __init__(
        self, people: list[Someone], look: Callable[[Someone, httpx.Response], Any]
    ) -> None:
        self.people, self.look = people, look
        self.stop = threading.Event()
        self.failed: list[BaseException] = []
        self.threads = [threading.Thread(target=self.read) for _ in range(4)]

    def read(self) -> None:
        try:
            with httpx.Client(base_url=self.people[0].rollcall.http.base_url, timeout=20) as http:
                for someone in itertools.cycle(self.people):
                    if self.stop.is_set():
                        return
                    self.look(someone, http.get(PROFILE, headers=someone.bearer))
        except (httpx.HTTPError, AssertionError) as error:
            self.failed.append(error)

    def __enter__(self) -> "readers":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()
        assert self.failed == []


def test_reads_return_the_own_profile_during_random_disconnects(
    stack: Stack, django_here, rollcall: Rollcall, many: int
):
    """Both kinds: those of clients, in the middle of a request, and those to Redis."""
    from domain.stores.profiles import redis

    people = [rollcall.sign_up() for _ in range(20)]
    counts: Counter[str] = Counter()

    def read_with_cuts(seed: int) -> None:
        lot = random.Random(seed)
        connection: Any = None
        while counts["reads"] < 10_000 * many:
            connection = connection or socket.create_connection((HOST, stack.port), timeout=10)
            some = lot.choices(people, k=lot.randint(1, 8))
            connection.sendall(b"".join(map(request_of, some)))
            if lot.random() < 0.1:
                connection.close()
                connection = None
                continue
            stream = connection.makefile("rb")
            for someone in some:
                body = read_answer(stream)
                mine = someone.body["email"].encode() in body
                assert mine or b'"unavailable"' in body, body
                counts.update({"reads": 1, "mine": mine})
        if connection:
            connection.close()

    def cut_redis() -> None:
        while counts["reads"] < 10_000 * many:
            redis().client_kill_filter(_type="normal", skipme=True)
            pause.wait(0.2)

    pause = threading.Event()
    with ThreadPoolExecutor(5) as pool:
        work = [pool.submit(read_with_cuts, seed) for seed in range(4)]
        work.append(pool.submit(cut_redis))
        for each in work:
            each.result()
    assert counts["mine"] > counts["reads"] / 2


# --- Processes -----------------------------------------------------------------------------------


def web_workers(stack: Stack) -> list[int]:
    return child_pids(stack.services["read"].pid)


@pytest.fixture
def another_web(stack: Stack) -> Iterator[tuple[Process, str]]:
    """A web server of one's own on the same databases, to end."""
    with read_process(stack) as web:
        yield web


def test_sigterm_under_load_answers_all_requests_in_progress(
    another_web: tuple[Process, str], stack: Stack, rollcall: Rollcall
):
    """Redis is frozen meanwhile, so that they are known to be under way."""
    web, url = another_web
    someone = rollcall.sign_up()
    connections = [
        socket.create_connection((HOST, int(url.rpartition(":")[2])), timeout=10)
        for _ in range(100)
    ]
    for connection in connections:
        connection.sendall(request_of(someone))
        assert someone.body["email"].encode() in read_answer(connection.makefile("rb"))
    stack.services["profiles"].suspend()
    try:
        for connection in connections:
            connection.sendall(request_of(someone))
        wait_any([], timeout=0.3)
        web.send(signal.SIGTERM)
        wait_any([], timeout=0.3)
    finally:
        stack.services["profiles"].resume()
    for connection in connections:
        assert someone.body["email"].encode() in read_answer(connection.makefile("rb"))
        connection.close()
    assert web.wait(15)
    assert web.status == 0


def test_sigterm_waits_for_a_write_in_progress(
    another_web: tuple[Process, str], stack: Stack, rollcall: Rollcall
):
    from tests.someone import new_body

    web, url = another_web
    with ThreadPoolExecutor(1) as pool, httpx.Client(base_url=url, timeout=20) as client:
        assert client.get("/livez").status_code == 200  # the process has the connection now
        stack.services["postgres"].suspend()
        try:
            write = pool.submit(client.post, "/api/v1/signup/", json=new_body())
            wait_any([], timeout=0.5)
            assert not write.done()
            web.send(signal.SIGTERM)
            wait_any([], timeout=0.5)
        finally:
            stack.services["postgres"].resume()
        assert write.result().status_code == 201
    assert web.wait(15)


def test_reads_and_probes_continue_during_a_hung_postgres(
    stack: Stack, rollcall: Rollcall
):
    from tests.someone import new_body

    someone = rollcall.sign_up()
    stack.services["postgres"].suspend()
    with ThreadPoolExecutor(40) as pool:
        try:
            writes = [
                pool.submit(
                    lambda: httpx.post(f"{stack.url}/api/v1/signup/", json=new_body(), timeout=60)
                )
                for _ in range(40)
            ]
            began = time.monotonic()
            for _ in range(100):
                assert someone.profile().status_code == 200
            assert rollcall.http.get("/livez").status_code == 200
            assert time.monotonic() - began < 3
        finally:
            stack.services["postgres"].resume()
        assert {write.result().status_code for write in writes} <= {201, 503}


def test_killed_worker_process_is_replaced(
    stack: Stack, rollcall: Rollcall
):
    someone = rollcall.sign_up()
    log = stack.data_dir / "logs" / "read.log"
    started = log.read_text().count("worker_started")
    os.kill(web_workers(stack)[0], signal.SIGKILL)
    for _ in range(50):
        with suppress(httpx.TransportError):  # what was under way in the one that was killed
            assert httpx.get(stack.url + PROFILE, headers=someone.bearer).status_code == 200
    eventually(lambda: log.read_text().count("worker_started") > started, within=30)
    assert len(web_workers(stack)) == 2
