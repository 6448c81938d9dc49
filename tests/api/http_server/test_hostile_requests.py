"""Single hostile requests, and regressions that fuzzing and attackers have found."""

import json
import select
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from itertools import batched

import pytest

from local.tcp_ports import HOST
from tests.support.client import wait_until
from tests.support.hostile_client import HostileClient
from tests.support.hostile_messages import BODIES, MESSAGES, REPEATED
from tests.support.hostile_scripts import (
    ALL,
    DEADLINES,
    Close,
    HalfClose,
    Moment,
    Send,
    StopReading,
    abandon,
    play,
)
from tests.support.read_server import ReadServer

SHORT = [name for name, message in MESSAGES.items() if len(message.text) < 1000]
SEND_BUFFER = 512 * 1024  # bytes that the kernel may hold for a client that reads nothing


@pytest.mark.parametrize("names", [*batched(MESSAGES, 5)], ids=", ".join)
def test_every_pipelined_message_gets_its_response(server: ReadServer, names: tuple[str, ...]):
    """Two connections for each message."""
    script = [
        Moment((Send((name, "read"), clients=(n,)), Send(("read", name), clients=(n + 5,))))
        for n, name in enumerate(names)
    ]
    play(server, script)


@pytest.mark.parametrize("names", [*batched(SHORT, 5)], ids=", ".join)
def test_message_sent_byte_by_byte_gets_its_response(server: ReadServer, names: tuple[str, ...]):
    """A connection for each message."""
    play(server, [Moment((Send((name,), (n,), bytewise=True),)) for n, name in enumerate(names)])


@pytest.mark.parametrize("name", REPEATED)
def test_request_similar_to_a_cached_one_gets_its_own_response(server: ReadServer, name: str):
    read = Moment((Send(("repeated read",)),))
    play(server, [read, read, Moment((Send((name,)),)), Moment((Send(("repeated read",), (1,)),))])


# --- Found before --------------------------------------------------------------------------------


@pytest.mark.parametrize("write", BODIES)
def test_read_behind_a_rejected_write_affects_no_other(server: ReadServer, write: str):
    """Ten such connections once ended all reads of the process permanently."""
    play(server, [Moment((Send((write, "read"), clients=ALL),), stall=True)])


@pytest.mark.parametrize("leave", [HalfClose(ALL), Close(ALL), Close(ALL, reset=True)], ids=str)
def test_clients_gone_before_the_redis_reply_affect_no_other(server: ReadServer, leave):
    play(server, [Moment((Send(("read", "read"), clients=ALL), leave), stall=True)])


def test_http_1_0_gets_no_interim_response(server: ReadServer):
    play(server, [Moment((Send(("HTTP/1.0 sign-up that expects 100",), hold_back=2),))])


def test_client_that_stops_reading_a_small_rest_is_disconnected(server: ReadServer):
    """Regression: below the transport's high-water mark there was no deadline."""
    with closing(HostileClient(server.port, server.people[0], "unread")) as client:
        client.reading = False
        buffered = 0

        def is_buffered() -> bool:
            return server.connections().get(client.port, 0) > buffered + 40_000

        with pytest.raises(AssertionError):  # noqa: PT012  # the kernel has room for only a part of this
            while True:
                client.send([MESSAGES["read"]] * 100)  # 46 kB of responses
                wait_until(is_buffered, timeout=1)
                buffered = server.connections().get(client.port, 0)
        assert not server.remaining(timeout=8)
        assert buffered < SEND_BUFFER


def test_slow_reader_receives_large_responses_completely(server: ReadServer):
    """Regression: the deadline was set when the buffer was full, and not extended on progress."""
    with closing(HostileClient(server.port, server.people[0], "slow-reader")) as client:
        client.reading = False
        client.send([MESSAGES["large file"]] * 3)
        slow_until = time.monotonic() + 2.5 * float(DEADLINES["SEND_TIMEOUT"])
        while time.monotonic() < slow_until:
            client.receive(25_000)
            select.select([], [], [], 0.05)
        client.settle(old=60)


def test_unread_requests_at_close_lose_no_response(server: ReadServer):
    """The kernel resets a connection that is closed with unread bytes (RFC 9112 section 9.6)."""
    with closing(HostileClient(server.port, server.people[0], "unread-requests")) as client:
        client.reading = False
        names = ["read"] * 100 + ["sign-up in chunks"] + ["read of a long URL"] * 50
        client.send([MESSAGES[name] for name in names])
        with suppress(AssertionError):  # it is not closed while its client takes the responses
            wait_until(lambda: client.port not in server.connections(), timeout=0.4)
        client.settle(old=60)


def test_request_after_the_last_one_loses_no_response(server: ReadServer):
    """Regression: it came to a closed socket, and the kernel's reset discarded what was unsent."""
    pipelined = Moment((StopReading(), Send(("read",), times=50)))
    after_last = Moment((Send(("last read",)), Send(("read",))))
    for _ in range(20):  # one in three failed
        play(server, [pipelined, after_last])


def test_incomplete_head_request_gets_a_408_and_the_connection_ends(server: ReadServer):
    abandon(server, [Moment((Send(("HEAD",), hold_back=100),))])


def test_long_pipeline_does_not_block_the_event_loop(server: ReadServer):
    """Regression: 250 kB of requests in one segment blocked it for 40 to 100 ms of CPU time."""
    duration = []
    for number in range(3):
        with closing(HostileClient(server.port, server.people[0], f"long-{number}")) as client:
            client.reading = False
            client.send([MESSAGES["read without token"]] * 3000)
            before = server.cpu_seconds()
            server.serves_bystander()
            duration.append(server.cpu_seconds() - before)
    assert min(duration) < 0.02


# --- Without an end ------------------------------------------------------------------------------

POST = f"POST /api/v1/signup/ HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
CHUNKED = POST + "Transfer-Encoding: chunked\r\n\r\n"
GET = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n"
# How a message begins, and what follows without end.
ENDLESS = {
    "trailers": (CHUNKED + "0\r\n", "A: b\r\n" * 100),
    "a trailer": (CHUNKED + "0\r\nA: ", "b" * 1000),
    "a chunk extension": (CHUNKED + "2;", "a" * 1000),
    "a chunk size": (CHUNKED, "0" * 1000),
    "chunks": (CHUNKED, "1\r\n \r\n" * 100),
    "chunks to the profile": (CHUNKED.replace("signup", "profile"), "1\r\n \r\n" * 100),
    "a body": (POST + "Content-Length: 9999999999\r\n\r\n", " " * 1000),
    "headers": (GET, "A: b\r\n" * 100),
    "a header": (GET + "A: ", "b" * 1000),
    "a target": ("GET /", "a" * 1000),
    "empty lines": ("", "\r\n" * 500),
}


def test_endless_messages_are_rejected_and_not_stored(server: ReadServer):
    """All at the same time: each ends by a deadline of the server."""
    before = server.memory()
    with ThreadPoolExecutor(len(ENDLESS)) as pool:
        ended = list(pool.map(partial(is_ended, server), ENDLESS.values()))
    assert [what for what, is_over in zip(ENDLESS, ended, strict=True) if not is_over] == []
    assert server.memory() - before < 2**20
    assert not server.remaining(timeout=5)


def is_ended(server: ReadServer, message: tuple[str, str]) -> bool:
    """Sends the beginning and the rest of a message; returns whether the server ends that."""
    begin, more = (text.encode() for text in message)
    deadline, sent = time.monotonic() + 10, 0
    with socket.create_connection((HOST, server.port), timeout=10) as client:
        client.sendall(begin)
        with suppress(ConnectionError):
            while time.monotonic() < deadline:
                client.sendall(more)
                sent += len(more)
                if sent > 3_000_000:  # enough; from here on slowly
                    select.select([], [], [], 0.05)
            return False
    return True


# --- Clients of a write process that hangs --------------------------------------------------------


def test_clients_of_a_hung_write_process_leave_no_connection(stack, tmp_path):
    path = tmp_path / "write.sock"
    body = json.dumps({"name": "Ada"})
    request = POST + f"Content-Length: {len(body)}\r\n\r\n{body}"
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(path))
        hung.listen(128)
        with ReadServer(stack, WRITE_UPSTREAM=f"unix:{path}", WRITE_TIMEOUT="2") as server:
            server.serves_bystander()
            sockets = server.sockets()
            clients = [socket.create_connection((HOST, server.port)) for _ in range(50)]
            for client in clients:
                client.sendall(request.encode())
            server.serves_bystander()
            for client in clients[::2]:  # these are reset
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            for client in clients:
                client.close()
            assert not server.remaining(timeout=8)
            wait_until(lambda: server.sockets() <= sockets, timeout=8)
