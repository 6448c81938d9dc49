"""The processes with production settings, as orchestrators, balancers and clients meet them."""

import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from local.stack import Stack
from local.tcp_ports import HOST
from tests.support.client import read_process, sign_up_payload, socket_path, write_process
from tests.support.settings_process import PRODUCTION_ENV

HEAD = "Host: rollcall.example\r\nX-Forwarded-Proto: https\r\n"


@pytest.fixture(scope="module")
def urls(stack: Stack) -> Iterator[dict[str, str]]:
    """A read process in front of a write process, and that write process."""
    servers = ("DATABASE_URL", "REDIS_URL", "QUEUE_URL")
    env = {name: value for name, value in PRODUCTION_ENV.items() if name not in servers}
    env |= {"TRUST_X_FORWARDED_PROTO": "1", "KEEP_ALIVE_TIMEOUT": "620"}
    env["SECRET_KEY"] = stack.environment()["SECRET_KEY"]
    with (
        write_process(stack, **env) as (_, url),
        read_process(stack, WRITE_UPSTREAM=f"unix:{socket_path(url)}", **env) as (_, read_url),
    ):
        yield {"read": read_url, "write": url}


def exchange(url: str, request: str) -> bytes:
    """Returns the status line of the response to a raw request."""
    with socket.create_connection((HOST, httpx.URL(url).port), timeout=20) as connection:
        connection.sendall(request.encode())
        return connection.makefile("rb").readline()


@pytest.mark.parametrize("process", ["read", "write"])
@pytest.mark.parametrize(
    "host", ["10.42.8.201:8000", "rollcall_write", "[fd00::1]:8000", "", "a b"]
)
def test_probes_respond_whatever_their_host(urls: dict[str, str], process: str, host: str):
    for path in ("/livez", "/livez/", "/readyz?capability=read", "/readyz/?capability=write"):
        response = exchange(
            urls[process], f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )
        assert response.startswith(b"HTTP/1.1 200 "), path


@pytest.mark.parametrize("process", ["read", "write"])
@pytest.mark.parametrize("path", ["/api/v1/profile/", "/api/v1/schema/", "/livez", "/readyz"])
def test_http_1_1_without_host_is_a_400(urls: dict[str, str], process: str, path: str):
    response = exchange(
        urls[process],
        f"GET {path} HTTP/1.1\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n",
    )
    assert response.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("process", ["read", "write"])
@pytest.mark.parametrize("path", ["/api/v1/profile/", "/api/v1/schema/"])
@pytest.mark.parametrize("host", ["", "10.42.8.201:8000", "evil.example"])
def test_other_request_for_an_unknown_host_is_a_400(
    urls: dict[str, str], process: str, path: str, host: str
):
    head = f"Host: {host}\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n"
    response = exchange(urls[process], f"GET {path} HTTP/1.1\r\n{head}\r\n")
    assert response.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("process", ["read", "write"])
@pytest.mark.parametrize("protocol", ["h2c", "websocket", "TLS/1.2, HTTP/2.0"])
def test_upgrade_is_ignored_and_the_body_is_read(urls: dict[str, str], process: str, protocol: str):
    """Java's HttpClient offers h2c with its first request, also one with a body."""
    body = json.dumps(sign_up_payload())
    request = (
        f"POST /api/v1/signup/ HTTP/1.1\r\n{HEAD}"
        f"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: {protocol}\r\n"
        "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    assert exchange(urls[process], request).startswith(b"HTTP/1.1 201 ")
