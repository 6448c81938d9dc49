"""Reads through the read process, also while clients or Redis misbehave."""

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

from local.processes import Process, wait_any
from local.stack import Stack
from local.tcp_ports import HOST
from tests.conftest import LONG
from tests.support.client import (
    ApiClient,
    SignedUpPerson,
    read_process,
    wait_until,
    wait_until_readable,
)
from tests.support.faults import child_pids, resume, suspend

PROFILE = "/api/v1/profile/"
ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-request-id": "of-this-test",
}
CACHING = {"cache-control": "private, no-cache", "vary": "Authorization, Cookie", "etag": "{etag}"}
OK_HEADERS = CACHING | {"content-type": "application/json", "content-length": "{length}"}
PROBLEM = {
    "content-type": "application/problem+json",
    "cache-control": "no-store",
    "content-language": "en",
    "vary": "Accept-Language",
}
FAILED_HEADERS = PROBLEM | {"vary": "Accept-Language, Authorization, Cookie"}
ERROR_HEADERS = FAILED_HEADERS | {"www-authenticate": "Bearer"}
METHOD_NOT_ALLOWED = PROBLEM | {"allow": "GET, HEAD, PATCH, DELETE"}
VALID = {"authorization": "Bearer {token}"}
REQUESTS: dict[str, tuple[dict[str, str], int, dict[str, str]]] = {
    "a right token": (VALID, 200, OK_HEADERS),
    "no token": ({}, 401, ERROR_HEADERS),
    "a longer token": ({"authorization": "Bearer {token}A"}, 401, ERROR_HEADERS),
    "another scheme": ({"authorization": "Basic {token}"}, 401, ERROR_HEADERS),
    "the current tag": (VALID | {"if-none-match": "{etag}"}, 304, CACHING),
    "the current tag, weak": (VALID | {"if-none-match": "W/{etag}"}, 304, CACHING),
    "any tag": (VALID | {"if-none-match": "*"}, 304, CACHING),
    "two tags": (VALID | {"if-none-match": '"a", {etag}'}, 304, CACHING),
    "a stale If-Match": (VALID | {"if-match": 'W/{etag}, "a"'}, 412, FAILED_HEADERS),
    "no token, and a stale If-Match": ({"if-match": '"a"'}, 401, ERROR_HEADERS),
    "another tag": (VALID | {"if-none-match": "{etag}x"}, 200, OK_HEADERS),
}


@pytest.mark.parametrize("kind", REQUESTS)
@pytest.mark.parametrize("path", [PROFILE, "/api/v1/profile", "/api/v1/profile/?x=%20"])
def test_read_has_the_expected_status_and_headers(api: ApiClient, kind, path):
    person = api.sign_up()
    body = person.profile().content
    values = {
        "token": person.token,
        "etag": person.profile().headers["etag"],
        "length": str(len(body)),
    }
    request_headers, status, expected = REQUESTS[kind]
    sent = {name: value.format(**values) for name, value in request_headers.items()}
    expected = {name: value.format(**values) for name, value in expected.items()} | ALWAYS
    for method in ("GET", "HEAD"):
        response = api.http.request(method, path, headers=sent | ALWAYS)
        received = dict(response.headers)
        del received["date"]
        if status not in (200, 304):
            del received["content-length"]
        assert (response.status_code, received) == (status, expected)
        if status == 200:
            assert response.content == (b"" if method == "HEAD" else body)


@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS", "TRACE"])
def test_other_method_is_a_405_with_allow(api: ApiClient, method):
    response = api.http.request(method, PROFILE, headers=ALWAYS)
    assert response.status_code == 405
    assert (METHOD_NOT_ALLOWED | ALWAYS).items() <= dict(response.headers).items()


def test_read_for_an_unknown_host_is_a_400(api: ApiClient):
    response = api.sign_up().profile(Host="evil.example")
    assert (response.status_code, response.json()["code"]) == (400, "bad_request")


# --- Redis ---------------------------------------------------------------------------------------


def test_forged_tokens_never_reach_redis(django_db_access, api: ApiClient):
    from domain.model.keyring import KEY_ID_BYTES
    from domain.postgres import keyring
    from tests.support.profile_redis import get_client

    def count_commands() -> int:
        stats = get_client().info("commandstats")
        return sum(
            calls["calls"]
            for name, calls in stats.items()
            if name.split("_")[1] in ("hmget", "zincrby")
        )

    api.sign_up().wait_for_outbox()
    before = count_commands()
    for _ in range(150):
        # Format byte and key id are valid; only the MAC is not.
        token_claims = (
            b"\x01"
            + keyring.get_keyring().signing_key.id
            + secrets.token_bytes(70 - KEY_ID_BYTES + 4)
        )
        token = urlsafe_b64encode(token_claims[:75]).decode()
        response = api.http.get(PROFILE, headers={"Authorization": f"Bearer {token}"})
        assert response.status_code == 401
    # Scripts of workers that are not done yet count too; a lookup of each token would be 150.
    assert count_commands() < before + 75


def test_hung_redis_is_a_503_and_recovers_within_a_second(stack: Stack, api: ApiClient):
    person = api.sign_up()
    suspend(stack.services["profiles"])
    try:
        with ThreadPoolExecutor(16) as pool:
            for status, seconds in pool.map(lambda _: read_timed(person), range(32)):
                assert status == 503
                assert seconds < 2  # the timeout is one second; the machine may be busy
    finally:
        resume(stack.services["profiles"])
    assert wait_until(lambda: person.profile().status_code == 200, timeout=1)
    wait_until_readable(stack)


def read_timed(person: SignedUpPerson) -> tuple[int, float]:
    started_at = time.monotonic()
    return person.profile().status_code, time.monotonic() - started_at


def test_flushed_redis_is_backfilled_with_only_200_and_503(
    django_db_access, api: ApiClient, scale: int
):
    from tests.support.profile_redis import get_client

    people = [api.sign_up() for _ in range(10 * scale)]
    for person in people:
        person.wait_for_outbox()
    seen: Counter[int] = Counter()
    with Readers(people, lambda _, response: seen.update([response.status_code])):
        wait_until(lambda: seen[200] > 50)
        get_client().flushall()
        wait_until(lambda: all(p.profile().status_code == 200 for p in people), timeout=10)
    assert set(seen) <= {200, 503}


def test_concurrent_misses_send_one_backfill_request(
    stack: Stack, django_db_access, api: ApiClient
):
    from tests.support.profile_redis import get_client

    person = api.sign_up()
    person.wait_for_outbox()
    person_hex = person.response.json()["id"].replace("-", "")
    suspend(stack.services["relay"])
    try:
        wait_until(lambda: not get_client().exists("profile:backfill"))
        get_client().delete(f"p:{person_hex}")
        with ThreadPoolExecutor(20) as pool:
            responses = list(pool.map(lambda _: person.profile().status_code, range(20)))
        score = get_client().zscore("profile:backfill", person_hex)
    finally:
        resume(stack.services["relay"])
    assert set(responses) == {503}
    assert score is None or score <= 2 * len(get_workers(stack)) * 2


# --- Clients -------------------------------------------------------------------------------------


def encode_request(person: SignedUpPerson, more: str = "") -> bytes:
    head = f"GET {PROFILE} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {person.token}\r\n"
    return f"{head}{more}\r\n".encode()


def test_pipelined_requests_are_answered_in_order(stack: Stack, api: ApiClient):
    people = [api.sign_up() for _ in range(5)]
    with socket.create_connection((HOST, stack.port), timeout=10) as connection:
        connection.sendall(b"".join(encode_request(person) for person in people))
        stream = connection.makefile("rb")
        for person in people:
            assert person.body["email"].encode() in read_body(stream)


def read_body(stream: Any) -> bytes:
    """Returns the body of the next response."""
    length = 0
    while (line := stream.readline()) != b"\r\n":
        assert line, "the connection ended"
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    body: bytes = stream.read(length)
    return body


def test_incomplete_request_blocks_no_other(stack: Stack, api: ApiClient):
    person = api.sign_up()
    request = encode_request(person)
    incomplete_requests = [
        socket.create_connection((HOST, stack.port), timeout=10) for _ in range(50)
    ]
    for incomplete in incomplete_requests:
        incomplete.sendall(request[:60])
    assert person.profile().status_code == 200
    for incomplete in incomplete_requests:
        incomplete.sendall(request[60:])
        assert person.body["email"].encode() in read_body(incomplete.makefile("rb"))
        incomplete.close()


def test_client_that_disconnects_in_a_request_affects_no_other(stack: Stack, api: ApiClient):
    person = api.sign_up()
    partial_body = b"POST /api/v1/signup/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"
    for request in (encode_request(person), encode_request(person)[:40], partial_body):
        for _ in range(50):
            with socket.create_connection((HOST, stack.port)) as connection:
                connection.sendall(request)
    for _ in range(50):
        assert person.profile().json() == person.body


@pytest.fixture
def max_open_files() -> Iterator[int]:
    """Raises the limit of open files for this process and its children; yields it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_thousands_of_idle_connections_block_no_read(
    max_open_files: int, own_read_process: tuple[Process, str], api: ApiClient, scale: int
):
    person = api.sign_up()
    _, url = own_read_process
    address = HOST, int(url.rpartition(":")[2])
    count = min(1_500 if scale == 1 else 10_000, max_open_files - 500)
    with ExitStack() as idle:
        for n in range(count):
            connection = idle.enter_context(socket.create_connection(address, timeout=10))
            connection.sendall(encode_request(person))
            if n % 500 == 0 or n == count - 1:
                assert person.body["email"].encode() in read_body(connection.makefile("rb"))


class Readers:  # used like a function
    """Threads that read profiles continuously until the end of the block."""

    def __init__(
        self, people: list[SignedUpPerson], check: Callable[[SignedUpPerson, httpx.Response], Any]
    ) -> None:
        self.people, self.check = people, check
        self.stop = threading.Event()
        self.failed: list[BaseException] = []
        self.threads = [threading.Thread(target=self.read) for _ in range(4)]

    def read(self) -> None:
        try:
            with httpx.Client(base_url=self.people[0].api.http.base_url, timeout=20) as http:
                for person in itertools.cycle(self.people):
                    if self.stop.is_set():
                        return
                    self.check(person, http.get(PROFILE, headers=person.bearer))
        except (httpx.HTTPError, AssertionError) as error:
            self.failed.append(error)

    def __enter__(self) -> "Readers":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()
        assert self.failed == []


def test_reads_return_the_own_profile_during_random_disconnects(
    stack: Stack, django_db_access, api: ApiClient
):
    """Disconnects clients in the middle of requests, and the connections to Redis."""
    from tests.support.profile_redis import get_client

    people = [api.sign_up() for _ in range(20)]
    counts: Counter[str] = Counter()
    count = 100_000 if LONG else 3_000

    def read_with_disconnects(seed: int) -> None:
        lot = random.Random(seed)
        connection: Any = None
        while counts["reads"] < count:
            connection = connection or socket.create_connection((HOST, stack.port), timeout=10)
            some_people = lot.choices(people, k=lot.randint(1, 8))
            connection.sendall(b"".join(map(encode_request, some_people)))
            if lot.random() < 0.1:
                connection.close()
                connection = None
                continue
            stream = connection.makefile("rb")
            for person in some_people:
                body = read_body(stream)
                is_own = person.body["email"].encode() in body
                assert is_own or b'"unavailable"' in body, body
                counts.update({"reads": 1, "mine": is_own})
        if connection:
            connection.close()

    def close_redis_connections() -> None:
        while counts["reads"] < count:
            get_client().client_kill_filter(_type="normal", skipme=True)
            pause.wait(0.2)

    pause = threading.Event()
    with ThreadPoolExecutor(5) as pool:
        futures = [pool.submit(read_with_disconnects, seed) for seed in range(4)]
        futures.append(pool.submit(close_redis_connections))
        for each in futures:
            each.result()
    assert counts["mine"] > counts["reads"] / 2


# --- Processes -----------------------------------------------------------------------------------


def get_workers(stack: Stack) -> list[int]:
    return child_pids(stack.services["read"].pid)


@pytest.fixture
def own_read_process(stack: Stack) -> Iterator[tuple[Process, str]]:
    """A separate read process, for tests that end it."""
    with read_process(stack) as web:
        yield web


def test_sigterm_under_load_answers_all_requests_in_progress(
    own_read_process: tuple[Process, str], stack: Stack, api: ApiClient
):
    """Redis is suspended, so that the requests are known to be in progress."""
    web, url = own_read_process
    person = api.sign_up()
    connections = [
        socket.create_connection((HOST, int(url.rpartition(":")[2])), timeout=10)
        for _ in range(100)
    ]
    for connection in connections:
        connection.sendall(encode_request(person))
        assert person.body["email"].encode() in read_body(connection.makefile("rb"))
    suspend(stack.services["profiles"])
    try:
        for connection in connections:
            connection.sendall(encode_request(person))
        wait_any([], timeout=0.3)
        web.send(signal.SIGTERM)
        wait_any([], timeout=0.3)
    finally:
        resume(stack.services["profiles"])
    for connection in connections:
        assert person.body["email"].encode() in read_body(connection.makefile("rb"))
        connection.close()
    assert web.wait(15)
    assert web.status == 0


def test_sigterm_waits_for_a_write_in_progress(
    own_read_process: tuple[Process, str], stack: Stack, api: ApiClient
):
    from tests.support.client import sign_up_payload

    web, url = own_read_process
    with ThreadPoolExecutor(1) as pool, httpx.Client(base_url=url, timeout=20) as client:
        assert client.get("/livez").status_code == 200  # the process has the connection now
        suspend(stack.services["postgres"])
        try:
            write = pool.submit(client.post, "/api/v1/signup/", json=sign_up_payload())
            wait_any([], timeout=0.5)
            assert not write.done()
            web.send(signal.SIGTERM)
            wait_any([], timeout=0.5)
        finally:
            resume(stack.services["postgres"])
        assert write.result().status_code == 201
    assert web.wait(15)


def test_reads_and_probes_continue_during_a_hung_postgres(stack: Stack, api: ApiClient):
    from tests.support.client import sign_up_payload

    person = api.sign_up()
    suspend(stack.services["postgres"])
    with ThreadPoolExecutor(40) as pool:
        try:
            writes = [
                pool.submit(
                    lambda: httpx.post(
                        f"{stack.url}/api/v1/signup/", json=sign_up_payload(), timeout=60
                    )
                )
                for _ in range(40)
            ]
            started_at = time.monotonic()
            for _ in range(100):
                assert person.profile().status_code == 200
            assert api.http.get("/livez").status_code == 200
            assert time.monotonic() - started_at < 3
        finally:
            resume(stack.services["postgres"])
        assert {write.result().status_code for write in writes} <= {201, 503}
    # The circuit breakers of all write processes are closed again.
    path = "/api/v1/signup/"
    wait_until(lambda: all(api.post(path, sign_up_payload()).is_success for _ in range(8)))


def test_killed_worker_process_is_replaced(stack: Stack, api: ApiClient):
    person = api.sign_up()
    log = stack.data_dir / "logs" / "read.log"
    started = log.read_text().count("worker_started")
    os.kill(get_workers(stack)[0], signal.SIGKILL)
    for _ in range(50):
        with suppress(httpx.TransportError):  # requests in progress in the killed process
            assert httpx.get(stack.url + PROFILE, headers=person.bearer).status_code == 200
    wait_until(lambda: log.read_text().count("worker_started") > started, timeout=30)
    assert len(get_workers(stack)) == 2
