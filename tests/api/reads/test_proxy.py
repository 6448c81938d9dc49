"""The reverse proxy of the read process, with a scripted upstream."""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from local.stack import Stack
from local.tcp_ports import HOST
from tests.support import upstream as upstream_server
from tests.support.client import problem_code, read_process, wait_until
from tests.support.upstream import OK, Upstream

PATH = "/api/v1/anything/"


class ProxyUnderTest:
    """A read process in front of an upstream."""

    def __init__(self, upstream: Upstream, url: str) -> None:
        self.upstream, self.url = upstream, url
        self.port = int(url.rpartition(":")[2])

    def send(self, data: bytes) -> socket.socket:
        connection = socket.create_connection((HOST, self.port), timeout=20)
        connection.sendall(data)
        return connection

    def exchange(self, data: bytes) -> tuple[bytes, bytes]:
        """Returns what the upstream received, and all that the client received."""
        with self.send(data) as connection:
            raw = self.upstream.requests.get(timeout=20)
            return raw, connection.makefile("rb").read()


@contextmanager
def run_proxy(stack: Stack, upstream: Upstream, **env: str) -> Iterator[ProxyUnderTest]:
    with read_process(stack, WRITE_UPSTREAM=upstream.url, **env) as (_, url):
        yield ProxyUnderTest(upstream, url)


@pytest.fixture(scope="module")
def shared_proxy(stack: Stack) -> Iterator[ProxyUnderTest]:
    """A proxy for tests that finish what they start: its upstream replies at once."""
    with upstream_server.listening() as upstream, run_proxy(stack, upstream) as running:
        yield running


@pytest.fixture
def proxy(shared_proxy: ProxyUnderTest) -> Iterator[ProxyUnderTest]:
    yield shared_proxy
    shared_proxy.upstream.reply = OK
    assert shared_proxy.upstream.requests.empty(), "each test takes what it has sent"


def make_post(*headers: str, body: bytes = b"", path: str = PATH) -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"Host: {HOST}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def parse_head(raw: bytes) -> dict[str, str]:
    lines = raw.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return dict(line.split(": ", 1) for line in lines)


# --- What the upstream gets ----------------------------------------------------------------------


def test_hop_by_hop_and_listed_request_headers_are_removed(proxy: ProxyUnderTest):
    request = make_post("X-Kept: 1", "Keep-Alive: 5", "TE: trailers", "X-Secret: 1", "X_Host: a")
    request = request.replace(b"Connection: close", b"Connection: close, X-Secret")
    raw, _ = proxy.exchange(request)
    headers = parse_head(raw)
    assert headers["connection"] == "close"
    assert "x-kept" in headers
    assert not {"keep-alive", "te", "x-secret", "x_host"} & headers.keys()


def test_chunked_body_is_sent_with_its_length(proxy: ProxyUnderTest):
    body = b"3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n"
    raw, _ = proxy.exchange(make_post("Transfer-Encoding: chunked", body=body))
    headers = parse_head(raw)
    assert raw.endswith(b"\r\n\r\nabcde")
    assert headers["content-length"] == "5"
    assert not {"transfer-encoding", "x-trailer"} & headers.keys()


def test_client_address_is_appended_to_x_forwarded_for(proxy: ProxyUnderTest):
    raw, _ = proxy.exchange(make_post("X-Forwarded-For: 198.51.100.7"))
    assert parse_head(raw)["x-forwarded-for"] == f"198.51.100.7, {HOST}"


def test_upgrade_is_ignored_and_the_body_is_kept(proxy: ProxyUnderTest):
    """Java's HttpClient sends this with its first request (RFC 9110 section 7.8)."""
    request = make_post(
        "Upgrade: h2c", "HTTP2-Settings: AAMAAABk", "Content-Length: 4", body=b"{  }"
    )
    request = request.replace(b"Connection: close", b"Connection: Upgrade, HTTP2-Settings")
    with proxy.send(request) as connection:
        raw = proxy.upstream.requests.get(timeout=20)
        assert raw.endswith(b"\r\n\r\n{  }")
        assert "upgrade" not in parse_head(raw)
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")


def test_absolute_form_target_is_reduced_to_its_path(proxy: ProxyUnderTest):
    request = make_post().replace(PATH.encode(), b"http://127.0.0.1:80/a/b?c=d")
    raw, _ = proxy.exchange(request)
    assert raw.startswith(b"POST /a/b?c=d HTTP/1.1\r\n")
    assert parse_head(raw)["host"] == "127.0.0.1:80"


def test_expect_100_continue_is_answered_before_the_body(proxy: ProxyUnderTest):
    with proxy.send(make_post("Expect: 100-continue", "Content-Length: 2")) as connection:
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        assert proxy.upstream.requests.get(timeout=20).endswith(b"\r\n\r\n{}")
        assert connection.makefile("rb").read().startswith(b"HTTP/1.1 200 ")


# --- What the client gets ------------------------------------------------------------------------


def test_hop_by_hop_response_headers_are_removed(proxy: ProxyUnderTest):
    proxy.upstream.reply = (
        b"HTTP/1.1 201 Created\r\nConnection: close, X-Internal\r\nX-Internal: 1\r\nServer: x\r\n"
        b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nok\r\n0\r\n\r\n"
    )
    _, response = proxy.exchange(make_post())
    head, _, body = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 201 Created\r\n")
    assert body == b"ok"
    assert b"content-length: 2" in head
    assert head.count(b"set-cookie: ") == 2
    assert not [name for name in (b"x-internal", b"server:", b"transfer-") if name in head]


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_response_without_body_has_none_despite_its_length(proxy: ProxyUnderTest, status: str):
    proxy.upstream.reply = f"HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\nwrong".encode()
    _, response = proxy.exchange(make_post())
    assert response.endswith(b"\r\n\r\n")


def test_response_to_head_keeps_its_length_and_has_no_body(proxy: ProxyUnderTest):
    proxy.upstream.reply = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    _, response = proxy.exchange(make_post().replace(b"POST", b"HEAD"))
    assert b"content-length: 5\r\n" in response
    assert response.endswith(b"\r\n\r\n")


def test_interim_responses_are_skipped(proxy: ProxyUnderTest):
    proxy.upstream.reply = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK
    _, response = proxy.exchange(make_post())
    assert response.startswith(b"HTTP/1.1 200 OK")
    assert b"link" not in response


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 799 Unknown\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["closed", "cut short", "nonsense", "upgrade", "unknown status"],
)
def test_unusable_response_is_a_503(proxy: ProxyUnderTest, reply: bytes):
    proxy.upstream.reply = reply
    response = httpx.post(proxy.url + PATH)
    proxy.upstream.requests.get(timeout=20)
    assert (response.status_code, problem_code(response)) == (503, "unavailable")
    assert response.headers["retry-after"] == "1"


def test_request_pipelined_behind_a_proxied_one_is_answered(proxy: ProxyUnderTest):
    first = make_post("Content-Length: 2", body=b"{}").replace(b"Connection: close\r\n", b"")
    with proxy.send(first + make_post()) as connection:
        responses = connection.makefile("rb").read()
    assert [proxy.upstream.requests.get(timeout=20)[-2:] for _ in "12"] == [b"{}", b"\r\n"]
    assert responses.count(b"HTTP/1.1 200 OK") == 2


# --- Bounds --------------------------------------------------------------------------------------


def test_too_long_body_is_a_413_before_it_is_read(proxy: ProxyUnderTest):
    for path, length in ((PATH, 65_537), ("/webhooks/sendgrid/", 1_048_577)):
        with proxy.send(make_post(f"Content-Length: {length}", path=path)) as connection:
            assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_too_long_chunked_body_is_a_413(proxy: ProxyUnderTest):
    chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    with proxy.send(make_post("Transfer-Encoding: chunked", body=3 * chunk)) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_webhook_body_may_have_a_mebibyte(proxy: ProxyUnderTest):
    body = b"x" * 1_048_576
    raw, response = proxy.exchange(
        make_post(f"Content-Length: {len(body)}", body=body, path="/webhooks/sendgrid/")
    )
    assert raw.endswith(body)
    assert response.startswith(b"HTTP/1.1 200 ")


def test_body_that_is_too_slow_is_a_408(stack: Stack):
    with (
        upstream_server.listening() as upstream,
        run_proxy(stack, upstream, BODY_TIMEOUT="0.5", HEADERS_TIMEOUT="0.5") as proxy,
    ):
        for data in (make_post("Content-Length: 9", body=b"slow"), b"POST / HTTP/1.1\r\nHo"):
            with proxy.send(data) as connection:
                assert connection.makefile("rb").read().startswith(b"HTTP/1.1 408 ")
        assert upstream.requests.empty()


def test_request_above_the_limits_is_a_503_at_once(stack: Stack):
    with (
        upstream_server.listening() as upstream,
        run_proxy(stack, upstream, WRITE_MAX_CONCURRENCY="2", WRITE_MAX_WAITING="3") as proxy,
    ):
        upstream.reply = None
        admitted = [proxy.send(make_post("Content-Length: 2", body=b"{}")) for _ in range(2)]
        wait_until(lambda: upstream.requests.qsize() == 2)
        admitted += [proxy.send(make_post("Content-Length: 2")) for _ in range(3)]
        # Its body is neither sent nor awaited.
        response = wait_until(lambda: get_rejection(proxy))
        assert b"\r\nretry-after: 1\r\n" in response
        assert upstream.requests.qsize() == 2
        for connection in admitted[2:]:
            connection.sendall(b"{}")
        upstream.release()
        for connection in admitted:
            assert connection.makefile("rb").read().startswith(b"HTTP/1.1 200 ")
            connection.close()
        assert upstream.requests.qsize() == 5


def get_rejection(proxy: ProxyUnderTest) -> bytes:
    """Returns the response to a request that is not admitted; empty while others still arrive."""
    with proxy.send(make_post("Content-Length: 2")) as connection:
        connection.settimeout(0.5)
        try:
            response: bytes = connection.makefile("rb").read()
        except TimeoutError:
            return b""
    assert response.startswith(b"HTTP/1.1 503 ")
    return response


@pytest.mark.parametrize("ending", ["close", "reset"])
def test_waiting_request_of_a_disconnected_client_is_not_sent(stack: Stack, ending: str):
    with (
        upstream_server.listening() as upstream,
        run_proxy(stack, upstream, WRITE_MAX_CONCURRENCY="1") as proxy,
    ):
        upstream.reply = None
        first = proxy.send(make_post())
        wait_until(lambda: upstream.requests.qsize() == 1)
        for _ in range(20):
            disconnected = proxy.send(make_post("X-Gone: 1"))
            if ending == "reset":
                disconnected.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, (1).to_bytes(4, "little") + bytes(4)
                )
            disconnected.close()
        last = proxy.send(make_post("X-Last: 1"))
        # It is answered after the requests before it: the proxy has noticed all disconnects.
        assert httpx.get(f"{proxy.url}/livez").status_code == 200
        upstream.release()
        for connection in (first, last):
            assert connection.makefile("rb").read().startswith(b"HTTP/1.1 200 ")
            connection.close()
        raw = [parse_head(upstream.requests.get(timeout=20)) for _ in range(2)]
        assert "x-last" in raw[1]
        assert upstream.requests.empty()


def test_bodies_beyond_the_memory_limit_are_a_503_with_a_reason_of_their_own(stack: Stack):
    """The bodies of all clients together may take 32 MiB of a read process."""
    unfinished = make_post(
        "Content-Length: 1048576", body=bytes(1_048_575), path="/webhooks/sendgrid/"
    )
    counter = 'rollcall_http_requests_rejected_total{{reason="{}"}} {}.0\n'
    # Its metrics are its own while there is no write process.
    env = {"WRITE_UPSTREAM": "unix:/nonexistent/write.sock", "METRICS_PUBLIC": "1"}
    env["BODY_TIMEOUT"] = "60"  # 33 MB take a busy machine a while
    with read_process(stack, **env) as (_, url), ExitStack() as connections:
        port = int(url.rpartition(":")[2])

        def send() -> socket.socket:
            connection = socket.create_connection((HOST, port), timeout=20)
            connections.enter_context(connection).sendall(unfinished)
            return connection

        clients = [send() for _ in range(33)]
        # Whose bytes are read last.
        rejected, *_ = wait_until(lambda: select.select(clients, [], [], 0)[0], timeout=30)
        assert rejected.recv(100).startswith(b"HTTP/1.1 503 ")
        wait_until(
            lambda: counter.format("memory_limit", 0) not in httpx.get(f"{url}/metrics").text
        )
        assert counter.format("overloaded", 0) in httpx.get(f"{url}/metrics").text


# --- An upstream that is unreachable, hangs, or recovers -----------------------------------------


def test_unreachable_upstream_is_a_503_and_reads_continue(stack: Stack, api, tmp_path: Path):
    person = api.sign_up()
    path = Path(stack.data_dir) / "none.sock"
    with read_process(stack, WRITE_UPSTREAM=f"unix:{path}") as (_, url):
        started_at = time.monotonic()
        response = httpx.post(url + PATH)
        assert time.monotonic() - started_at < 5
        assert (response.status_code, problem_code(response)) == (503, "unavailable")
        assert response.headers["retry-after"] == "1"
        assert httpx.get(f"{url}/api/v1/profile/", headers=person.bearer).status_code == 200


def test_hung_upstream_costs_one_timeout_and_then_503_at_once(stack: Stack):
    with (
        upstream_server.listening() as upstream,
        run_proxy(stack, upstream, WRITE_TIMEOUT="1.5") as proxy,
    ):
        upstream.reply = None
        assert httpx.post(proxy.url + PATH, timeout=20).status_code == 503
        started_at = time.monotonic()
        assert {httpx.post(proxy.url + PATH).status_code for _ in range(5)} == {503}
        assert time.monotonic() - started_at < 1.5
        upstream.reply = OK
        wait_until(lambda: httpx.post(proxy.url + PATH, timeout=20).status_code == 200)


def test_without_a_proxy_writes_are_not_routed(stack: Stack):
    with read_process(stack, WRITE_UPSTREAM="") as (_, url):
        response = httpx.patch(f"{url}/api/v1/profile/", json={"name": "Ada"})
        assert (response.status_code, problem_code(response)) == (405, "method_not_allowed")
        assert response.headers["allow"] == "GET, HEAD"
        assert problem_code(httpx.post(f"{url}/api/v1/signup/", json={})) == "not_found"
        assert httpx.get(f"{url}/readyz?capability=read").json() == {"status": "ok", "read": "ok"}
        connects = 'rollcall_redis_connects_total{redis="profiles"} '
        wait_until(lambda: connects in httpx.get(f"{url}/metrics").text)
