"""The HTTP server: HTTP/1.1 (RFC 9112), and malformed requests."""

import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from local.stack import Stack
from local.tcp_ports import HOST
from tests.support.client import ApiClient, SignedUpPerson, sign_up_payload

PROFILE = "GET /api/v1/profile/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"


class Client:
    """One connection with raw bytes."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.stream: Any = connection.makefile("rb")

    def send(self, text: str | bytes) -> None:
        self.connection.sendall(text if isinstance(text, bytes) else text.encode("latin-1"))

    def receive(self, *, bodiless: bool = False) -> tuple[int, dict[str, str], bytes]:
        """Returns status, headers and body of the next response."""
        status = int(self.stream.readline().split()[1])
        headers = {}
        while (line := self.stream.readline().decode()) != "\r\n":
            name, value = line.rstrip("\r\n").split(": ", 1)
            headers[name] = value
        length = 0 if bodiless or status in (100, 204, 304) else int(headers["content-length"])
        return status, headers, self.stream.read(length)

    def request(self, text: str | bytes) -> int:
        self.send(text)
        return self.receive()[0]

    def is_closed(self) -> bool:
        """Returns whether the server has closed the connection without further data."""
        return bool(self.stream.read(1) == b"")


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    with socket.create_connection((HOST, stack.port), timeout=20) as connection:
        yield Client(connection)


def encode_read(person: SignedUpPerson, more: str = "") -> str:
    return f"{PROFILE}Authorization: Bearer {person.token}\r\n{more}\r\n"


# --- Connections ---------------------------------------------------------------------------------


def test_connection_is_kept_until_the_client_closes_it(client: Client, api: ApiClient):
    person = api.sign_up()
    for _ in range(3):
        client.send(encode_read(person))
        status, headers, _ = client.receive()
        assert (status, "connection" in headers) == (200, False)
    client.send(encode_read(person, "Connection: close\r\n"))
    status, headers, _ = client.receive()
    assert (status, headers["connection"]) == (200, "close")
    assert client.is_closed()


@pytest.mark.parametrize("more", ["", "Connection: keep-alive\r\n"])
def test_http_1_0_connection_has_one_response(client: Client, api: ApiClient, more):
    client.send(encode_read(api.sign_up(), more).replace("HTTP/1.1", "HTTP/1.0"))
    status, headers, _ = client.receive()
    assert (status, headers["connection"]) == (200, "close")
    assert client.is_closed()


def test_half_closed_client_still_gets_its_response(client: Client, api: ApiClient):
    client.send(encode_read(api.sign_up()) + f"GET /livez HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
    client.connection.shutdown(socket.SHUT_WR)
    assert client.receive()[0] == 200
    assert client.receive()[2] == b'{"status":"ok"}'
    assert client.is_closed()


def test_an_upgrade_is_ignored_and_the_connection_is_kept(client: Client, api: ApiClient):
    for _ in range(2):
        client.send(encode_read(api.sign_up(), "Connection: Upgrade\r\nUpgrade: h2c\r\n"))
        status, headers, _ = client.receive()
        assert (status, "connection" in headers) == (200, False)


def test_pipelined_reads_and_other_requests_are_answered_in_order(client: Client, api: ApiClient):
    person = api.sign_up()
    other = f"GET /livez HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
    client.send((encode_read(person) + other) * 100)
    for _ in range(100):
        assert client.receive()[0] == 200
        assert client.receive()[2] == b'{"status":"ok"}'


def test_head_has_content_length_and_no_body(client: Client, api: ApiClient):
    person = api.sign_up()
    length = len(person.profile().content)
    for _ in range(2):
        client.send(encode_read(person).replace("GET", "HEAD"))
        status, headers, _ = client.receive(bodiless=True)
        assert (status, headers["content-length"]) == (200, str(length))
    assert client.request(encode_read(person)) == 200


def test_response_without_a_body_has_no_content_length(client: Client, api: ApiClient):
    person = api.sign_up()
    for _ in range(2):
        client.send(
            f"DELETE /api/v1/sessions/current/ HTTP/1.1\r\nHost: {HOST}\r\n"
            f"Authorization: Bearer {person.token}\r\n\r\n"
        )
        status, headers, _ = client.receive()
        assert ("content-length" in headers) == (status == 401)
    assert status == 401


# --- Bodies --------------------------------------------------------------------------------------


def encode_sign_up(more: str) -> str:
    return (
        f"POST /api/v1/signup/ HTTP/1.1\r\nHost: {HOST}\r\n"
        f"Content-Type: application/json\r\n{more}\r\n"
    )


def test_chunked_body_is_assembled_and_trailers_are_ignored(client: Client):
    body = json.dumps(sign_up_payload()).encode()
    client.send(encode_sign_up("Transfer-Encoding: chunked\r\n"))
    for byte in body:
        client.send(b"1\r\n%c\r\n" % byte)
    client.send(b"0\r\nAuthorization: Bearer of-nothing\r\nHost: evil.example\r\n\r\n")
    assert client.receive()[0] == 201


def test_expect_100_continue_is_answered(client: Client):
    body = json.dumps(sign_up_payload())
    client.send(encode_sign_up(f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n"))
    assert client.stream.readline() == b"HTTP/1.1 100 Continue\r\n"
    assert client.stream.readline() == b"\r\n"
    client.send(body)
    assert client.receive()[0] == 201


def test_response_is_received_despite_an_unread_body(client: Client):
    client.send(encode_sign_up("Content-Length: 100000000\r\n"))
    with contextlib.suppress(ConnectionError):  # it may close the connection before that
        for _ in range(100):
            client.send(b" " * 100_000)
    status, headers, _ = client.receive()
    assert (status, headers["connection"]) == (413, "close")


def test_malformed_chunks_are_a_400(client: Client):
    client.send(encode_sign_up("Transfer-Encoding: chunked\r\n") + "zz\r\n")
    status, headers, _ = client.receive()
    assert (status, headers["connection"]) == (400, "close")
    assert client.is_closed()


# --- What is no HTTP -----------------------------------------------------------------------------

MALFORMED: dict[str, str | bytes] = {
    "nonsense": "how are you?\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an unknown method": PROFILE.replace("GET", "BREW") + "\r\n",
    "no length but two": encode_sign_up("Content-Length: 1\r\nContent-Length: 2\r\n"),
    "length and chunks": encode_sign_up("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
    "a folded header": PROFILE + "A: b\r\n c\r\n\r\n",
    "a space before the colon": PROFILE + "Authorization : x\r\n\r\n",
    "line ends of another kind": PROFILE.replace("\r\n", "\n") + "\n",
    "a nul": PROFILE + "A: \0\r\n\r\n",
    "too many headers": PROFILE + "".join(f"A{n}: b\r\n" for n in range(150)) + "\r\n",
    "a header too long": PROFILE + f"A: {'b' * 70_000}\r\n\r\n",
    "a head without end": PROFILE + f"A: {'b' * 700_000}",
    "a target too long": PROFILE.replace("profile", "p" * 70_000) + "\r\n",
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_request_is_a_400_and_closes_the_connection(client: Client, case: str):
    with contextlib.suppress(ConnectionError):
        client.send(MALFORMED[case])
    status, headers, body = client.receive()
    assert (status, headers["connection"]) == (400, "close")
    assert headers["content-type"] == "application/problem+json"
    rejected_text = json.loads(body)
    assert (rejected_text["code"], rejected_text["request_id"]) == (
        "bad_request",
        headers["x-request-id"],
    )
    client.connection.shutdown(socket.SHUT_WR)
    assert client.is_closed()


def test_valid_requests_before_a_malformed_one_are_answered(client: Client, api: ApiClient):
    client.send(encode_read(api.sign_up()) + "nonsense\r\n\r\n")
    assert [client.receive()[0], client.receive()[0]] == [200, 400]


@pytest.mark.parametrize("target", ["*", "http://127.0.0.1/livez", "127.0.0.1:80", "/%zz/%00?%"])
def test_unusual_targets_get_documented_responses(client: Client, target: str):
    method = {"*": "OPTIONS", "127.0.0.1:80": "CONNECT"}.get(target, "GET")
    expected = 200 if target.endswith("livez") else 400 if method == "CONNECT" else 404
    assert client.request(f"{method} {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n") == expected


def test_header_with_an_underscore_is_not_trusted(client: Client, api: ApiClient):
    person = api.sign_up()
    request = f"GET /api/v1/confirmations/ HTTP/1.1\r\nHost: {HOST}\r\n"
    assert client.request(request + f"Authorization_: Bearer {person.token}\r\n\r\n") == 401


# --- Slow ones -----------------------------------------------------------------------------------


def test_reading_stops_when_the_client_does_not_read(client: Client, api: ApiClient):
    request = encode_read(api.sign_up()).encode() * 200
    client.connection.settimeout(2)
    with pytest.raises(TimeoutError):  # noqa: PT012  # it is the only one that can raise it
        for _ in range(20_000):
            client.connection.send(request)
    client.connection.settimeout(20)
    assert client.receive()[0] == 200
