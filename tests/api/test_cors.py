"""CORS: the read and the write process have the same rules for other origins."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api import cors
from local.stack import Stack
from tests.support.client import (
    ApiClient,
    read_process,
    sign_up_payload,
    socket_path,
    write_process,
)
from tests.support.settings_process import SettingsProcess

ALLOWED, FOREIGN = "https://app.example", "https://evil.example"
ORIGINS = (ALLOWED, "http://localhost:5173")
ENV = {"CORS_ALLOWED_ORIGINS": ",".join(ORIGINS), "RATE_LIMIT_DOCS": "1/hour"}
PROFILE, SIGN_UP = "/api/v1/profile/", "/api/v1/signup/"

# The requests, and their status.
REQUESTS: list[tuple[str, str, dict[str, Any], int]] = [
    ("GET", PROFILE, {}, 401),
    ("HEAD", PROFILE, {}, 401),
    ("GET", PROFILE, {"headers": {"Authorization": "Bearer none"}}, 401),
    ("PATCH", PROFILE, {"json": {}}, 401),
    ("PUT", PROFILE, {}, 405),
    ("POST", SIGN_UP, {"json": {}}, 400),
    ("POST", SIGN_UP, {"content": b"x" * 65_537}, 413),
    ("POST", SIGN_UP, {"content": b"x"}, 415),
    ("GET", SIGN_UP, {}, 405),
    ("GET", "/api/v1/none/", {}, 404),
    ("GET", "/api/v1/none/", {"headers": {"Host": "evil.example"}}, 400),
    ("GET", "/livez", {}, 200),
]


@pytest.fixture(scope="module")
def urls(stack: Stack) -> Iterator[dict[str, str]]:
    """Of a write process, and of a read process in front of it."""
    with (
        write_process(stack, **ENV) as (_, write),
        read_process(stack, WRITE_UPSTREAM=f"unix:{socket_path(write)}", **ENV) as (_, read),
    ):
        yield {"write process": write, "read process in front": read}


@pytest.fixture(params=["write process", "read process in front"])
def client(urls: dict[str, str], request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=urls[request.param], timeout=20) as client:
        client.headers["X-Request-ID"] = request.param.replace(" ", "-")
        yield client


def cors_headers(response: httpx.Response) -> dict[str, str]:
    """Returns the headers that CORS adds; of `Vary` only the part about the origin."""
    vary = {each.strip() for each in response.headers.get("vary", "").lower().split(",")}
    return {k: v for k, v in response.headers.items() if k.startswith("access-control-")} | (
        {"vary": "origin"} if "origin" in vary else {}
    )


@pytest.mark.parametrize("origin", [*ORIGINS, FOREIGN, "null", None])
@pytest.mark.parametrize(("method", "path", "rest", "status"), REQUESTS)
def test_every_response_has_cors_headers(client: httpx.Client, method, path, rest, status, origin):
    headers = rest.get("headers", {}) | ({"Origin": origin} if origin else {})
    response = client.request(method, path, **(rest | {"headers": headers}))
    if not (status == 401 and method in ("GET", "HEAD") and response.status_code == 503):
        assert response.status_code == status  # but a misrouted read is a 503
    assert cors_headers(response) == dict(cors.response_headers(origin or "", ORIGINS))
    assert ("access-control-allow-origin" in response.headers) == (origin in ORIGINS)


@pytest.mark.parametrize("origin", [ALLOWED, f"{ALLOWED}:8443", FOREIGN, "null", "http://[", None])
@pytest.mark.parametrize("path", [PROFILE, SIGN_UP, "/api/v1/none/"])
def test_preflight_is_a_200_with_allowed_methods_and_headers(client: httpx.Client, path, origin):
    headers = {
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "if-match",
    }
    response = client.options(path, headers=headers | ({"Origin": origin} if origin else {}))
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == "0"
    assert response.headers["x-request-id"] == client.headers["x-request-id"]
    assert cors_headers(response) == dict(cors.preflight_headers(origin or "", ORIGINS))
    if origin == ALLOWED:
        assert response.headers["access-control-max-age"] == "86400"
        assert "PATCH" in response.headers["access-control-allow-methods"]
        assert "if-match" in response.headers["access-control-allow-headers"]


def test_options_without_requested_method_is_no_preflight(client: httpx.Client):
    for path in (PROFILE, SIGN_UP):
        assert client.options(path, headers={"Origin": ALLOWED}).status_code == 405


def test_429_has_cors_headers(client: httpx.Client):
    for _ in range(2):
        response = client.get("/api/v1/docs/", headers={"Origin": ALLOWED})
    assert response.status_code == 429
    assert cors_headers(response) == dict(cors.response_headers(ALLOWED, ORIGINS))
    exposed = response.headers["access-control-expose-headers"].lower()
    assert {"retry-after", "ratelimit", "x-request-id"} < set(exposed.split(", "))


def test_web_client_reads_and_updates_a_profile(client: httpx.Client, api: ApiClient):
    client.headers["Origin"] = ALLOWED
    response = client.post(SIGN_UP, json=sign_up_payload())
    token = response.json()["session"]["token"]
    changed = client.patch(
        PROFILE, json={"name": "Grace"}, headers={"Authorization": f"Bearer {token}"}
    )
    del client.headers["Origin"]
    assert [response.status_code, changed.status_code] == [201, 200]
    for each in (response, changed):
        assert cors_headers(each) == dict(cors.response_headers(ALLOWED, ORIGINS))


def test_web_client_uses_a_session_cookie(client: httpx.Client):
    client.headers["Origin"] = ALLOWED
    response = client.post(SIGN_UP, json=sign_up_payload(session_cookie=True))
    cookie = {"Cookie": response.headers["set-cookie"].partition(";")[0]}
    del client.headers["Origin"]
    assert response.headers["access-control-allow-credentials"] == "true"
    for origin, status in ((ALLOWED, 200), (f"{ALLOWED}:8443", 403), (FOREIGN, 403)):
        changed = client.patch(PROFILE, json={}, headers=cookie | {"Origin": origin})
        assert changed.status_code == status
        assert cors_headers(changed) == dict(cors.response_headers(origin, ORIGINS))


def test_responses_have_no_cors_headers_without_origins(api: ApiClient):
    assert cors.response_headers(ALLOWED, ()) == cors.preflight_headers(ALLOWED, ()) == []
    headers = {"Origin": ALLOWED, "Access-Control-Request-Method": "GET"}
    for method, path in (("GET", PROFILE), ("OPTIONS", PROFILE), ("GET", SIGN_UP)):
        response = api.http.request(method, path, headers=headers)
        assert response.status_code in (401, 405)
        assert cors_headers(response) == {}


@pytest.mark.parametrize(
    "value",
    [
        "https://app.example/",
        "https://app.example/path",
        "app.example",
        "null",
        "*",
        "https://",
        "https://App.example",
        "https://app.example:443",
        "https://user@app.example",
        f"{ALLOWED}, https://*.example",
    ],
)
def test_invalid_origin_prevents_start(load_settings: SettingsProcess, value):
    result = load_settings(CORS_ALLOWED_ORIGINS=value)
    assert result.returncode != 0
    assert "CORS_ALLOWED_ORIGINS" in result.stderr.splitlines()[-1]


def test_origins_are_trimmed_and_empty_entries_dropped(load_settings: SettingsProcess):
    code = "from django.conf import settings as s; print(*s.CORS_ALLOWED_ORIGINS)"
    value = " https://app.example , capacitor://localhost,,http://[::1]:3000 ,"
    expected = "https://app.example capacitor://localhost http://[::1]:3000\n"
    assert load_settings(code, CORS_ALLOWED_ORIGINS=value).stdout == expected
    assert load_settings(code).stdout == "\n"
