"""The write process alone: gunicorn and Django, on TCP and on a unix socket."""

import http.client
import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from local.stack import Stack
from tests.support.client import (
    ApiClient,
    field_errors,
    problem_code,
    sign_up_payload,
    socket_path,
    wait_until,
    write_process,
)
from tests.support.settings_process import PRODUCTION_ENV

SIGN_UP, PROFILE = "/api/v1/signup/", "/api/v1/profile/"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def url(stack: Stack) -> Iterator[str]:
    with write_process(stack) as (_, url):
        yield url


@pytest.fixture(params=["TCP port", "unix socket"])
def client(request: pytest.FixtureRequest, url: str) -> Iterator[httpx.Client]:
    """A client of the write process, on each of both."""
    uds = socket_path(url) if request.param == "unix socket" else None
    with httpx.Client(transport=httpx.HTTPTransport(uds=uds), base_url=url, timeout=20) as client:
        yield client


def pad(length: int) -> bytes:
    body = json.dumps(sign_up_payload(name="")).encode()
    return body + b" " * (length - len(body))


def exchange_raw(url: str, request: str) -> bytes:
    """Sends a raw request; returns the whole response, after which the connection must end."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(request.encode("latin-1"))
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_person_signs_up_and_is_read_and_deleted(client: httpx.Client, api: ApiClient):
    person = ApiClient(client).sign_up()
    assert api.http.get(PROFILE, headers=person.bearer).json() == person.body
    assert person.patch({"name": "Grace"}).json()["name"] == "Grace"
    response = person.request("DELETE", "profile/")
    assert (response.status_code, response.content) == (204, b"")
    assert not {"content-length", "transfer-encoding"} & response.headers.keys()


@pytest.mark.parametrize("close", [True, False])
def test_connection_is_kept_alive_unless_close_is_requested(url: str, close):
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    for _ in range(2):
        connection.request("GET", "/livez", headers={"Connection": "close"} if close else {})
        response = connection.getresponse()
        assert response.read() == b'{"status":"ok"}'
        assert (connection.sock is None) == close
    connection.close()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_misrouted_read_is_a_503_with_retry_after(client: httpx.Client, method):
    person = ApiClient(client).sign_up()
    response = client.request(method, PROFILE, headers=person.bearer)
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    if method == "GET":
        assert problem_code(response) == "unavailable"


def test_405_of_the_profile_allows_reads(client: httpx.Client):
    response = client.put(PROFILE)
    assert problem_code(response) == "method_not_allowed"
    assert response.headers["allow"] == "GET, HEAD, PATCH, DELETE"


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("path", "limit"), [(SIGN_UP, 65_536), ("/admin/login/", 65_536), ("/webhooks/vonage/", 2**20)]
)
def test_body_above_the_limit_is_a_413(client: httpx.Client, path, limit, chunked):
    def send(size: int) -> httpx.Response:
        body = pad(size)
        content = iter([body[:100], body[100:]]) if chunked else body
        return client.post(path, content=content, headers=JSON)

    assert send(limit).status_code in (400, 401, 403)
    response = send(limit + 1)
    assert (response.status_code, problem_code(response)) == (413, "body_too_large")


def test_chunked_body_is_read(client: httpx.Client):
    body = json.dumps(sign_up_payload(name="")).encode()
    response = client.post(SIGN_UP, content=iter([body[:7], body[7:]]), headers=JSON)
    assert field_errors(response) == {"name": "blank"}


def test_malformed_chunk_is_a_400(url: str):
    chunked = f"POST {SIGN_UP} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nx"
    assert exchange_raw(url, chunked + "\r\n").startswith(b"HTTP/1.1 400 ")


def test_incomplete_body_is_a_400_and_not_executed(url: str, api: ApiClient):
    body = json.dumps(sign_up_payload(email="early@example.com"))
    head = f"POST {SIGN_UP} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    response = exchange_raw(url, f"{head}Content-Length: {len(body) + 1}\r\n\r\n{body}")
    assert response.startswith(b"HTTP/1.1 400 ")
    assert exchange_raw(url, f"{head}Content-Length: {len(body)}\r\n\r\n{body}").startswith(
        b"HTTP/1.1 201 "
    )


def test_body_with_a_content_coding_is_a_415(client: httpx.Client):
    response = client.post(SIGN_UP, content=b"x", headers=JSON | {"Content-Encoding": "gzip"})
    assert (response.status_code, problem_code(response)) == (415, "unsupported_media_type")
    assert response.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("path", ["/livez", SIGN_UP])
def test_http_1_1_without_host_is_a_400(url: str, path):
    response = exchange_raw(url, f"GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert response.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"bad_request"' in response


@pytest.mark.parametrize("path", ["/livez", "/livez/", "/readyz", "/metrics"])
def test_probes_respond_for_any_host(client: httpx.Client, path):
    assert client.get(path, headers={"Host": "10.1.2.3:8000"}).status_code == 200
    assert client.get("/api/v1/none/", headers={"Host": "10.1.2.3:8000"}).status_code == 400


def test_304_has_no_content_length(client: httpx.Client):
    path = "/static/rollcall/pages.css"
    modified = client.get(path).headers["last-modified"]
    response = client.get(path, headers={"If-Modified-Since": modified})
    assert response.status_code == 304
    assert response.headers.get("content-length", "") != "0"


def test_forged_proxy_headers_are_ignored(client: httpx.Client):
    forged_headers = {
        "SCRIPT_NAME": "/api",
        "X_FORWARDED_FOR": "192.0.2.1",
        "X-Forwarded-Host": "x.test",
    }
    assert client.get("/api/v1/schema/", headers=forged_headers).status_code == 200


def test_client_cannot_forge_x_forwarded_proto_in_production(stack: Stack):
    urls = ("DATABASE_URL", "REDIS_URL", "QUEUE_URL")
    production = {name: value for name, value in PRODUCTION_ENV.items() if name not in urls}
    forged_headers = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Ssl": "on",
        "X-Forwarded-Protocol": "ssl",
    }
    with write_process(stack, **production) as (_, url):
        for uds in (None, socket_path(url)):
            transport = httpx.HTTPTransport(uds=uds)
            with httpx.Client(transport=transport, base_url=url, timeout=20) as client:
                headers = {"Host": "rollcall.example", **forged_headers}
                response = client.get("/api/v1/schema/", headers=headers)
            assert response.status_code == 301
            assert response.headers["location"] == "https://rollcall.example/api/v1/schema/"


def test_log_contains_no_content_of_a_rejected_request(stack: Stack, url: str):
    log = stack.data_dir / "logs" / f"write-{url.rpartition(':')[2]}.log"
    start = log.stat().st_size
    for request in (
        "GET /secret-1 HTTP/7.7\r\n\r\n",
        "secret-2\r\n\r\n",
        "GET / HTTP/1.1\r\nsecret-3\r\n\r\n",
        "GET /secret-4 HTTP/1.1\r\nHost: secret-5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nsecret-6\r\n",
    ):
        assert b"HTTP/1.1 400 " in exchange_raw(url, request)
    wait_until(lambda: len(log.read_text()[start:].splitlines()) >= 5)
    assert "secret" not in log.read_text()[start:]


@pytest.mark.parametrize("file", [None, "-"])
def test_access_log_is_made_only_where_it_is_asked_for(file: str | None):
    """gunicorn would describe each request for a logger that has no handler."""
    from gunicorn.config import Config

    from api.writes.gunicorn_config import logconfig_dict, logger_class

    config = Config()
    config.set("logconfig_dict", logconfig_dict)
    config.set("accesslog", file)
    assert logger_class(config).access_log_enabled == bool(file)
