"""Long-running reads: memory, unusual headers, and redeploys."""

import os
import resource
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGTERM, SIGUSR2
from typing import Self

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.processes import wait_any
from local.stack import Stack
from local.tcp_ports import HOST
from tests.conftest import LONG
from tests.support.client import ApiClient, SignedUpPerson, read_process, wait_until
from tests.support.faults import child_pids

PROFILE = "/api/v1/profile/"
# Valid header values (RFC 9110 section 5.5), with obs-text.
VALUES = st.binary(max_size=300).map(
    lambda value: bytes(
        byte for byte in value if byte == 9 or 32 <= byte < 127 or byte > 127
    ).strip()
)
TAGS = st.lists(st.sampled_from(['"a"', 'W/"a"', "*", '"', "W/", ",", "", "{etag}", '"\\""']))


def get_memory(pids: list[int]) -> int:
    """Returns the resident bytes of these processes."""
    memory_pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return sum(memory_pages) * resource.getpagesize()


def read_repeatedly(port: int, requests: list[bytes], times: int) -> int:
    """Reads `times` on one connection, 50 requests in a row; returns the number of 200s."""
    count = 0
    with socket.create_connection((HOST, port), timeout=20) as connection:
        stream = connection.makefile("rb")
        for start in range(0, times, 50):
            connection.sendall(b"".join(requests[(start + n) % len(requests)] for n in range(50)))
            for _ in range(50):
                count += stream.readline().startswith(b"HTTP/1.1 200")
                length = 0
                while (line := stream.readline()) != b"\r\n":
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                stream.read(length)
    return count


def encode_request(person: SignedUpPerson, header_lines: str = "") -> bytes:
    lines = f"GET {PROFILE} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {person.token}\r\n"
    return f"{lines}{header_lines}\r\n".encode()


def test_memory_is_constant_over_many_reads(stack: Stack, api: ApiClient, scale):
    """A million reads with LONG=1, else 30,000; the first part may still fill pools."""
    requests = [encode_request(api.sign_up()) for _ in range(50 if LONG else 10)]
    web = child_pids(stack.services["read"].pid)
    times = 50_000 if LONG else 1_500

    def run_some() -> int:
        with ThreadPoolExecutor(10) as threads:
            return sum(
                threads.map(lambda _: read_repeatedly(stack.port, requests, times), range(10))
            )

    assert run_some() == 10 * times
    before = get_memory(web)
    assert run_some() == 10 * times
    assert get_memory(web) - before < 8 * 2**20


@settings(max_examples=1_000 if LONG else 150, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip  # it stays
@given(
    authorization=VALUES,
    if_none_match=st.one_of(VALUES, TAGS.map(",".join)),
    own_header=st.booleans(),
)
def test_any_header_value_gets_a_documented_response(
    stack: Stack, authorization: bytes, if_none_match: bytes | str, own_header: bool
):
    person = any_person(stack)
    if own_header:
        authorization = f"Bearer {person.token}".encode()
    etag = _etags[person.token]
    tags = if_none_match if isinstance(if_none_match, bytes) else if_none_match.encode()
    head = f"GET {PROFILE} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n".encode()
    head += b"Authorization: " + authorization + b"\r\n"
    head += b"If-None-Match: " + tags.replace(b"{etag}", etag) + b"\r\n\r\n"
    with socket.create_connection((HOST, stack.port), timeout=20) as connection:
        connection.sendall(head)
        status = int(connection.makefile("rb").readline().split()[1])
    assert status in ({200, 304} if own_header else {401})


_people_by_stack: dict[str, SignedUpPerson] = {}
_etags: dict[str, bytes] = {}


def any_person(stack: Stack) -> SignedUpPerson:
    """Returns one person for all examples."""
    if stack.url not in _people_by_stack:
        person = ApiClient(httpx.Client(base_url=stack.url, timeout=20)).sign_up()
        _people_by_stack[stack.url] = person
        _etags[person.token] = person.profile().headers["etag"].encode()
    return _people_by_stack[stack.url]


class Clients:
    """Clients that read continuously until the end of the block: some on a new connection each
    time, some on one until the server closes it.

    `count` counts the statuses, and the errors in place of a response.
    """

    def __init__(self, port: int, person: SignedUpPerson) -> None:
        self.port, self.person = port, person
        self.count: Counter[str] = Counter()
        self.stopped = threading.Event()
        self.threads = ThreadPoolExecutor(8)

    def connect_repeatedly(self, header_lines: str) -> None:
        request = encode_request(self.person, header_lines)
        while not self.stopped.is_set():
            try:
                with socket.create_connection((HOST, self.port), timeout=20) as connection:
                    self.keep_reading(connection, request)
            except OSError as error:
                self.count[type(error).__name__] += 1

    def keep_reading(self, connection: socket.socket, request: bytes) -> None:
        stream = connection.makefile("rb")
        continues = True
        while continues and not self.stopped.is_set():
            connection.sendall(request)
            self.count[stream.readline()[9:12].decode()] += 1
            head = iter(stream.readline, b"\r\n")
            named = dict(line.rstrip().split(b": ", 1) for line in head if line)
            stream.read(int(named.get(b"content-length", 0)))
            continues = bool(named) and named.get(b"connection") != b"close"

    def __enter__(self) -> Self:
        header_lines = ["Connection: close\r\n", ""] * 4
        self.futures = [self.threads.submit(self.connect_repeatedly, each) for each in header_lines]
        self.wait_for_reads()
        return self

    def wait_for_reads(self) -> None:
        """Returns after some hundred more responses."""
        count = self.count["200"]
        wait_until(lambda: self.count["200"] > count + 400, timeout=30)

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        for each in self.futures:
            each.result()
        self.threads.shutdown()


def test_graceful_exit_of_one_process_fails_no_request(stack: Stack, api: ApiClient):
    log = stack.data_dir / "logs" / "read.log"
    with Clients(stack.port, api.sign_up()) as clients:
        ready = log.read_text().count("worker_started")
        os.kill(child_pids(stack.services["read"].pid)[0], SIGTERM)
        clients.wait_for_reads()
        wait_until(lambda: log.read_text().count("worker_started") > ready, timeout=30)
    assert set(clients.count) == {"200"}


def test_redeploy_fails_no_request(stack: Stack, api: ApiClient):
    """SIGUSR2 starts the new server on the old one's socket; the old one then gets SIGTERM."""
    with read_process(stack) as (web, url):
        log = stack.data_dir / "logs" / f"read-{url.rpartition(':')[2]}.log"
        with Clients(int(url.rpartition(":")[2]), api.sign_up()) as clients:
            web.send(SIGUSR2)
            wait_until(lambda: log.read_text().count("worker_started") == 2, timeout=30)
            clients.wait_for_reads()
            web.send(SIGTERM)
            assert wait_any([web], timeout=20)
            clients.wait_for_reads()
        assert set(clients.count) == {"200"}
