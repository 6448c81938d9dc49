"""The reader in the long run: its memory, odd headers, and a redeploy that nobody notices."""

import resource
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGTERM

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.machine import HOST, children
from local.processes import await_end
from local.stack import Stack
from tests.conftest import LONG
from tests.someone import Rollcall, Someone, eventually, web_beside

PROFILE = "/api/v1/profile/"
# What may stand in a header's value (RFC 9110 section 5.5), obsolete octets included.
VALUES = st.binary(max_size=300).map(
    lambda octets: bytes(
        octet for octet in octets if octet == 9 or 32 <= octet < 127 or octet > 127
    ).strip()
)
TAGS = st.lists(st.sampled_from(['"a"', 'W/"a"', "*", '"', "W/", ",", "", "{etag}", '"\\""']))


def memory(pids: list[int]) -> int:
    """Octets that these processes hold."""
    pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return sum(pages) * resource.getpagesize()


def read_on(port: int, requests: list[bytes], times: int) -> int:
    """Read so many times on one connection, 50 requests in a row; how many answers were a 200."""
    found = 0
    with socket.create_connection((HOST, port), timeout=20) as connection:
        stream = connection.makefile("rb")
        for start in range(0, times, 50):
            connection.sendall(b"".join(requests[(start + n) % len(requests)] for n in range(50)))
            for _ in range(50):
                found += stream.readline().startswith(b"HTTP/1.1 200")
                length = 0
                while (line := stream.readline()) != b"\r\n":
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                stream.read(length)
    return found


def request_of(someone: Someone, more: str = "") -> bytes:
    lines = f"GET {PROFILE} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {someone.token}\r\n"
    return f"{lines}{more}\r\n".encode()


def test_memory_is_steady_however_many_reads_there_are(stack: Stack, rollcall: Rollcall, many):
    """A million with LONG=1, fifty thousand else; the first part of them may still fill pools."""
    requests = [request_of(rollcall.sign_up()) for _ in range(50)]
    web = children(stack.parts["web"].pid)
    times = 50_000 if LONG else 2_500

    def some() -> int:
        with ThreadPoolExecutor(10) as threads:
            return sum(threads.map(lambda _: read_on(stack.port, requests, times), range(10)))

    assert some() == 10 * times
    before = memory(web)
    assert some() == 10 * times
    assert memory(web) - before < 8 * 2**20


@settings(max_examples=1_000 if LONG else 150, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip  # it stays
@given(authorization=VALUES, if_none_match=st.one_of(VALUES, TAGS.map(",".join)), own=st.booleans())
def test_whatever_stands_in_the_headers_the_answer_is_one_of_ours(
    stack: Stack, authorization: bytes, if_none_match: bytes | str, own: bool
):
    someone = _somebody(stack)
    if own:
        authorization = f"Bearer {someone.token}".encode()
    etag = _etags[someone.token]
    tags = if_none_match if isinstance(if_none_match, bytes) else if_none_match.encode()
    head = f"GET {PROFILE} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n".encode()
    head += b"Authorization: " + authorization + b"\r\n"
    head += b"If-None-Match: " + tags.replace(b"{etag}", etag) + b"\r\n\r\n"
    with socket.create_connection((HOST, stack.port), timeout=20) as connection:
        connection.sendall(head)
        status = int(connection.makefile("rb").readline().split()[1])
    assert status in ({200, 304} if own else {401})


_people: dict[str, Someone] = {}
_etags: dict[str, bytes] = {}


def _somebody(stack: Stack) -> Someone:
    """Somebody for all examples."""
    if stack.url not in _people:
        someone = Rollcall(httpx.Client(base_url=stack.url, timeout=20)).sign_up()
        _people[stack.url] = someone
        _etags[someone.token] = someone.profile().headers["etag"].encode()
    return _people[stack.url]


def test_a_redeploy_refuses_no_connection_and_cuts_no_answer(stack: Stack, rollcall: Rollcall):
    """Two web servers listen on one port. One gets SIGTERM while clients connect all the time.

    The web server closes connections that it has accepted and not yet read from: a request that was
    on its way in that instant gets no answer at all, and its client sends it again.
    """
    someone = rollcall.sign_up()
    seen: Counter[str] = Counter()
    over = threading.Event()

    def come_again() -> None:
        while not over.is_set():
            try:
                with socket.create_connection((HOST, stack.port), timeout=20) as connection:
                    connection.sendall(request_of(someone, "Connection: close\r\n"))
                    seen[connection.makefile("rb").readline()[9:12].decode()] += 1
            except OSError as error:
                seen[type(error).__name__] += 1

    with web_beside(stack, PORT=str(stack.port)) as (web, _), ThreadPoolExecutor(8) as threads:
        clients = [threads.submit(come_again) for _ in range(8)]
        try:
            eventually(lambda: seen["200"] > 500)
            web.send(SIGTERM)
            assert web.ended(15)
            count = seen["200"]
            eventually(lambda: seen["200"] > count + 200)
        finally:
            over.set()
        await_end([], timeout=0)
        for client in clients:
            client.result()
    assert set(seen) <= {"200", ""}
    assert seen[""] <= 8, "each client once, at most"
