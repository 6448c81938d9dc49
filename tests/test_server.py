"""The web server: HTTP/1.1 as RFC 9112 has it, and what it makes of those who do not speak it."""

import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from local.machine import HOST
from local.stack import Stack
from tests.someone import Rollcall, Someone, new_body

PROFILE = "GET /api/v1/profile/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"


class Client:
    """One connection, octet by octet."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.stream: Any = connection.makefile("rb")

    def send(self, text: str | bytes) -> None:
        self.connection.sendall(text if isinstance(text, bytes) else text.encode("latin-1"))

    def answer(self, *, bodiless: bool = False) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next answer."""
        status = int(self.stream.readline().split()[1])
        headers = {}
        while (line := self.stream.readline().decode()) != "\r\n":
            name, value = line.rstrip("\r\n").split(": ", 1)
            headers[name] = value
        length = 0 if bodiless or status in (100, 204, 304) else int(headers["content-length"])
        return status, headers, self.stream.read(length)

    def ask(self, text: str | bytes) -> int:
        self.send(text)
        return self.answer()[0]

    def is_closed(self) -> bool:
        """Whether the server has hung up, without a word more."""
        return bool(self.stream.read(1) == b"")


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    with socket.create_connection((HOST, stack.port), timeout=20) as connection:
        yield Client(connection)


def read(someone: Someone, more: str = "") -> str:
    return f"{PROFILE}Authorization: Bearer {someone.token}\r\n{more}\r\n"


# --- Connections ---------------------------------------------------------------------------------


def test_a_connection_is_kept_until_its_client_wants_it_closed(client: Client, rollcall: Rollcall):
    someone = rollcall.sign_up()
    for _ in range(3):
        client.send(read(someone))
        status, headers, _ = client.answer()
        assert (status, "connection" in headers) == (200, False)
    client.send(read(someone, "Connection: close\r\n"))
    status, headers, _ = client.answer()
    assert (status, headers["connection"]) == (200, "close")
    assert client.is_closed()


@pytest.mark.parametrize("more", ["", "Connection: keep-alive\r\n"])
def test_http_1_0_gets_one_answer_a_connection(client: Client, rollcall: Rollcall, more):
    client.send(read(rollcall.sign_up(), more).replace("HTTP/1.1", "HTTP/1.0"))
    status, headers, _ = client.answer()
    assert (status, headers["connection"]) == (200, "close")
    assert client.is_closed()


def test_who_has_sent_everything_and_closed_that_half_is_still_answered(
    client: Client, rollcall: Rollcall
):
    client.send(read(rollcall.sign_up()) + f"GET /livez HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
    client.connection.shutdown(socket.SHUT_WR)
    assert client.answer()[0] == 200
    assert client.answer()[2] == b'{"status":"ok"}'
    assert client.is_closed()


def test_an_upgrade_is_ignored_and_the_connection_is_kept(client: Client, rollcall: Rollcall):
    for _ in range(2):
        client.send(read(rollcall.sign_up(), "Connection: Upgrade\r\nUpgrade: h2c\r\n"))
        status, headers, _ = client.answer()
        assert (status, "connection" in headers) == (200, False)


def test_requests_sent_ahead_are_answered_in_their_order_reads_and_others(
    client: Client, rollcall: Rollcall
):
    someone = rollcall.sign_up()
    other = f"GET /livez HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
    client.send((read(someone) + other) * 100)
    for _ in range(100):
        assert client.answer()[0] == 200
        assert client.answer()[2] == b'{"status":"ok"}'


def test_head_tells_the_length_and_sends_no_body(client: Client, rollcall: Rollcall):
    someone = rollcall.sign_up()
    length = len(someone.profile().content)
    for _ in range(2):
        client.send(read(someone).replace("GET", "HEAD"))
        status, headers, _ = client.answer(bodiless=True)
        assert (status, headers["content-length"]) == (200, str(length))
    assert client.ask(read(someone)) == 200


def test_an_answer_that_has_no_body_tells_no_length(client: Client, rollcall: Rollcall):
    someone = rollcall.sign_up()
    for _ in range(2):
        client.send(
            f"DELETE /api/v1/sessions/current/ HTTP/1.1\r\nHost: {HOST}\r\n"
            f"Authorization: Bearer {someone.token}\r\n\r\n"
        )
        status, headers, _ = client.answer()
        assert ("content-length" in headers) == (status == 401)
    assert status == 401


# --- Bodies --------------------------------------------------------------------------------------


def sign_up(more: str) -> str:
    return (
        f"POST /api/v1/signup/ HTTP/1.1\r\nHost: {HOST}\r\n"
        f"Content-Type: application/json\r\n{more}\r\n"
    )


def test_a_body_in_chunks_is_put_together_and_its_trailer_is_no_header(client: Client):
    body = json.dumps(new_body()).encode()
    client.send(sign_up("Transfer-Encoding: chunked\r\n"))
    for octet in body:
        client.send(b"1\r\n%c\r\n" % octet)
    client.send(b"0\r\nAuthorization: Bearer of-nothing\r\nHost: evil.example\r\n\r\n")
    assert client.answer()[0] == 201


def test_who_waits_to_be_told_to_send_its_body_is_told(client: Client):
    body = json.dumps(new_body())
    client.send(sign_up(f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n"))
    assert client.stream.readline() == b"HTTP/1.1 100 Continue\r\n"
    assert client.stream.readline() == b"\r\n"
    client.send(body)
    assert client.answer()[0] == 201


def test_a_body_that_nobody_wants_to_the_end_does_not_take_its_answer_away(client: Client):
    client.send(sign_up("Content-Length: 100000000\r\n"))
    with contextlib.suppress(ConnectionError):  # it may hang up before it has all that
        for _ in range(100):
            client.send(b" " * 100_000)
    status, headers, _ = client.answer()
    assert (status, headers["connection"]) == (413, "close")


def test_a_body_of_bad_chunks_is_a_400(client: Client):
    client.send(sign_up("Transfer-Encoding: chunked\r\n") + "zz\r\n")
    status, headers, _ = client.answer()
    assert (status, headers["connection"]) == (400, "close")
    assert client.is_closed()


# --- What is no HTTP -----------------------------------------------------------------------------

NOT_HTTP: dict[str, str | bytes] = {
    "nonsense": "how are you?\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an unknown method": PROFILE.replace("GET", "BREW") + "\r\n",
    "no length but two": sign_up("Content-Length: 1\r\nContent-Length: 2\r\n"),
    "length and chunks": sign_up("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
    "a folded header": PROFILE + "A: b\r\n c\r\n\r\n",
    "a space before the colon": PROFILE + "Authorization : x\r\n\r\n",
    "line ends of another kind": PROFILE.replace("\r\n", "\n") + "\n",
    "a nul": PROFILE + "A: \0\r\n\r\n",
    "too many headers": PROFILE + "".join(f"A{n}: b\r\n" for n in range(150)) + "\r\n",
    "a header too long": PROFILE + f"A: {'b' * 70_000}\r\n\r\n",
    "a head without end": PROFILE + f"A: {'b' * 700_000}",
    "a target too long": PROFILE.replace("profile", "p" * 70_000) + "\r\n",
}


@pytest.mark.parametrize("kind", NOT_HTTP)
def test_what_is_no_http_is_a_400_as_described_and_the_end(client: Client, kind: str):
    with contextlib.suppress(ConnectionError):
        client.send(NOT_HTTP[kind])
    status, headers, body = client.answer()
    assert (status, headers["connection"]) == (400, "close")
    assert headers["content-type"] == "application/problem+json"
    told = json.loads(body)
    assert (told["code"], told["request_id"]) == ("bad_request", headers["x-request-id"])
    client.connection.shutdown(socket.SHUT_WR)
    assert client.is_closed()


def test_what_was_understood_before_nonsense_is_answered_first(client: Client, rollcall: Rollcall):
    client.send(read(rollcall.sign_up()) + "nonsense\r\n\r\n")
    assert [client.answer()[0], client.answer()[0]] == [200, 400]


@pytest.mark.parametrize("target", ["*", "http://127.0.0.1/livez", "127.0.0.1:80", "/%zz/%00?%"])
def test_odd_targets_are_answered_as_described(client: Client, target: str):
    method = {"*": "OPTIONS", "127.0.0.1:80": "CONNECT"}.get(target, "GET")
    expected = 200 if target.endswith("livez") else 400 if method == "CONNECT" else 404
    assert client.ask(f"{method} {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n") == expected


def test_a_header_with_an_underscore_is_not_taken_for_one_that_a_proxy_vouches_for(
    client: Client, rollcall: Rollcall
):
    someone = rollcall.sign_up()
    request = f"GET /api/v1/confirmations/ HTTP/1.1\r\nHost: {HOST}\r\n"
    assert client.ask(request + f"Authorization_: Bearer {someone.token}\r\n\r\n") == 401


# --- Slow ones -----------------------------------------------------------------------------------


def test_who_takes_no_answers_is_not_read_from_without_end(client: Client, rollcall: Rollcall):
    request = read(rollcall.sign_up()).encode() * 200
    client.connection.settimeout(2)
    with pytest.raises(TimeoutError):  # noqa: PT012  # it is the only one that can raise it
        for _ in range(20_000):
            client.connection.send(request)
    client.connection.settimeout(20)
    assert client.answer()[0] == 200
