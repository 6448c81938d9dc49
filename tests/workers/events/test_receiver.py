"""What a receiver can do to the connection: each is a failed attempt that ends in time."""

import threading
import time
from collections.abc import Iterator

import pytest

from local.tcp_ports import find_free_port
from tests.support import fake_provider
from tests.support.fake_provider import FakeProvider
from workers.events.receiver import Receiver
from workers.providers.base import SendError

KEY = b"a key of at least 24 bytes"
TIMEOUT = 0.4


@pytest.fixture
def server() -> Iterator[FakeProvider]:
    with FakeProvider() as running:
        yield running


def send(server: FakeProvider, count: int = 1) -> str:
    """Sends events on one connection; returns the code of the last failure, '' for none."""
    receiver = Receiver(f"{server.url}/events", [KEY], TIMEOUT)
    failure = ""
    for number in range(count):
        try:
            receiver.send(f"evt_{number}", b"{}")
        except SendError as error:
            failure = str(error)
    receiver.close()
    return failure


@pytest.mark.parametrize("code", [200, 201, 202, 204])
def test_any_2xx_accepts_an_event(server: FakeProvider, code: int):
    server.queue_responses(fake_provider.status(code, body=b""))
    assert send(server) == ""


@pytest.mark.parametrize("code", [301, 304, 307, 308, 400, 404, 410, 429, 500, 503])
def test_every_other_status_refuses_it_and_no_redirect_is_followed(server: FakeProvider, code: int):
    server.queue_responses(fake_provider.status(code, {"Location": f"{server.url}/other"}, b""))
    assert send(server) == f"status_{code}"
    assert [each.path for each in server.requests] == ["/events"]


HOSTILE = {
    "drop": (fake_provider.drop(), "connection_lost"),
    "nothing": (fake_provider.raw(b""), "connection_lost"),
    "no HTTP": (fake_provider.raw(b"SSH-2.0-OpenSSH_9.6\r\n"), "invalid_response"),
    "a bad status": (fake_provider.raw(b"HTTP/1.1 2OO OK\r\n\r\n"), "invalid_response"),
    "an endless header": (
        fake_provider.raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"),
        "invalid_response",
    ),
    "many headers": (
        fake_provider.raw(b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 1_000 + b"\r\n"),
        "invalid_response",
    ),
    "a bad chunk": (
        fake_provider.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        "invalid_response",
    ),
    "a redirect to nowhere": (
        fake_provider.raw(b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n"),
        "invalid_response",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_response_is_a_failure(server: FakeProvider, name: str):
    respond, code = HOSTILE[name]
    server.queue_responses(respond)
    assert send(server) == code


@pytest.mark.parametrize(
    "respond", [fake_provider.hang(), fake_provider.drip(), fake_provider.drip(in_headers=True)]
)
def test_slow_response_is_cut_off_at_the_deadline(
    server: FakeProvider, respond: fake_provider.Respond
):
    server.queue_responses(respond)
    receiver = Receiver(server.url, [KEY], TIMEOUT)
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            receiver.abort_if_late(time.monotonic())

    watchdog = threading.Thread(target=watch)
    watchdog.start()
    started_at = time.monotonic()
    with pytest.raises(SendError, match="timeout"):
        receiver.send("evt_1", b"{}")
    assert time.monotonic() - started_at < TIMEOUT * 5
    done.set()
    watchdog.join()
    server.release()


def test_large_response_is_not_read_to_its_end(server: FakeProvider):
    server.queue_responses(fake_provider.status(200, body=b"x" * 50_000_000))
    started_at = time.process_time()
    assert send(server, 2) == ""
    assert time.process_time() - started_at < 1
    assert len(server.requests) == 2


def test_status_decides_whatever_becomes_of_the_body(server: FakeProvider):
    server.queue_responses(fake_provider.drop_midway())
    assert send(server, 2) == ""
    assert len(server.requests) == 2


def test_refused_connection_and_unknown_host_are_failures(server: FakeProvider):
    for url in (f"http://127.0.0.1:{find_free_port()}/", "http://receiver.invalid/"):
        receiver = Receiver(url, [KEY], TIMEOUT)
        with pytest.raises(SendError, match=r"connect_failed|timeout"):
            receiver.send("evt_1", b"{}")


def test_cookies_of_a_receiver_are_not_kept(server: FakeProvider):
    server.queue_responses(fake_provider.status(204, {"Set-Cookie": "a=b; Path=/"}, b""))
    assert send(server, 2) == ""
    assert [each.headers["Cookie"] for each in server.requests] == [None, None]


def test_certificate_is_verified(monkeypatch: pytest.MonkeyPatch):
    with FakeProvider(tls=True) as server:
        assert send(server) in ("connect_failed", "timeout")
        assert server.requests == []
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", server.ca_file)
        connections = server.connections
        assert send(server, 3) == ""
        assert server.connections == connections + 1


def test_connection_is_kept_between_events(server: FakeProvider):
    assert send(server, 3) == ""
    assert {len(server.requests), server.connections} == {3, 1}


def test_connection_that_was_not_used_for_long_is_replaced(
    server: FakeProvider, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("workers.events.receiver._MAX_IDLE", 0.0)
    assert send(server, 3) == ""
    assert server.connections == 3


def test_connection_that_the_receiver_has_closed_is_replaced(server: FakeProvider):
    server.queue_responses(fake_provider.status(204, {"Connection": "close"}, b""))
    assert send(server, 2) == ""
