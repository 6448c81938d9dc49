"""Introspection of tokens by the operator's backends, in the read process."""

import socket
import time
from collections.abc import Iterator

import httpx
import orjson
import pytest

from local.stack import Stack
from local.tcp_ports import HOST
from tests.support.backends import PATH, Backend, make_backend
from tests.support.client import ApiClient, field_errors, problem_code, read_process, wait_until
from tests.support.faults import resume, suspend

INACTIVE = {"active": False}
UNAVAILABLE = {"error": "unavailable"}


@pytest.fixture(scope="module")
def backend(stack: Stack, django_setup: None) -> Iterator[Backend]:
    with httpx.Client(base_url=stack.url, timeout=20) as http:
        yield make_backend(http)


def forge(token: str) -> str:
    return token[:-1] + ("A" if token[-1] != "A" else "B")


def test_active_token_is_described(backend: Backend, api: ApiClient):
    person = api.sign_up()
    response = backend.post(data={"token": person.token, "token_type_hint": "access_token"})
    state = response.json()
    assert list(state) == ["active", "sub", "exp", "token_type"]
    assert (state["active"], state["sub"], state["token_type"]) == (True, person.id, "Bearer")
    assert 29.9 < (state["exp"] - time.time()) / 86_400 < 30.1
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert "x-request-id" in response.headers


def test_claims_are_the_stored_profile(backend: Backend, api: ApiClient):
    person = api.sign_up(name='Á"\\')
    claims = backend.introspect(person.token, claims="profile")["claims"]
    assert list(claims.items()) == list(person.profile().json().items())
    assert person.patch({"name": "Grace"}).status_code == 200
    assert backend.introspect(person.token, claims="profile")["claims"]["name"] == "Grace"
    (state,) = backend.introspect_all([person.token], claims=True)
    assert state["claims"] == person.profile().json()


def test_token_of_an_ended_session_is_inactive_at_once(backend: Backend, api: ApiClient):
    person = api.sign_up()
    for _ in range(3):  # it is in the client-side cache then
        assert backend.introspect(person.token)["active"]
    assert person.request("DELETE", "sessions/current/").status_code == 204
    assert backend.introspect(person.token) == INACTIVE
    assert backend.introspect_all([person.token]) == [INACTIVE]


def test_token_of_a_deleted_person_is_inactive(backend: Backend, api: ApiClient):
    person = api.sign_up()
    assert person.request("DELETE", "profile/").status_code == 204
    assert backend.introspect(person.token, claims="profile") == INACTIVE


def test_forged_and_malformed_tokens_are_inactive(backend: Backend, api: ApiClient):
    token = api.sign_up().token
    texts = [forge(token), token[:-1], "x", "é \ud7ff", "a%b+c&d", "A" * 50_000, "\0"]
    for text in texts:
        assert backend.introspect(text) == INACTIVE
    assert backend.introspect_all(texts) == [INACTIVE] * len(texts)


def test_many_tokens_are_answered_in_order(backend: Backend, api: ApiClient):
    people = [api.sign_up() for _ in range(20)]
    assert people[3].request("DELETE", "sessions/current/").status_code == 204
    tokens = [person.token for person in people]
    tokens += [forge(token) for token in tokens] + [f"text {n}" for n in range(960)]
    states = backend.introspect_all(tokens)
    assert len(states) == 1_000
    subjects = [state.get("sub") for state in states]
    expected = [None if number == 3 else each.id for number, each in enumerate(people)]
    assert subjects == expected + [None] * 980
    assert states[3] == states[999] == INACTIVE


@pytest.mark.parametrize("claims", ["", "&claims=profile"])
def test_introspection_is_one_redis_command(stack, django_db_access, backend, api, claims):
    from itertools import takewhile

    from tests.support.profile_redis import get_client

    person = api.sign_up()
    person.wait_for_outbox()
    with get_client().monitor() as monitor:  # type: ignore[no-untyped-call]  # it has no types
        body = f"token={person.token}{claims}"
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert backend.post(content=body, headers=form).json()["active"]
        assert backend.introspect(forge(person.token)) == INACTIVE
        get_client().echo("read")
        commands = takewhile(
            lambda text: text != "ECHO read", (each["command"] for each in monitor.listen())
        )
        own = [text for text in commands if person.id.replace("-", "") in text]
    assert [text.split()[0] for text in own] == ["HMGET"]


# --- Wrong requests ------------------------------------------------------------------------------


def test_backend_key_is_required(backend: Backend, api: ApiClient):
    person = api.sign_up()
    wrong = [f"Bearer {forge(backend.key)}", f"Bearer {person.token}", f"Basic {backend.key}"]
    wrong += ["", f"Bearer {backend.key}, Bearer {backend.key}", f"Bearer {backend.key[:-1]}"]
    for value in wrong:
        headers = {"Authorization": value} if value else {}
        response = api.http.post(PATH, data={"token": person.token}, headers=headers)
        assert (response.status_code, problem_code(response)) == (401, "invalid_token")
        assert response.headers["www-authenticate"] == "Bearer"
    response = api.http.get("/api/v1/profile/", headers=backend.bearer)
    assert problem_code(response) == "invalid_token"  # nor does it read a profile


def test_other_methods_are_a_405_with_allow(backend: Backend):
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"):
        for path in (PATH, PATH.removesuffix("/"), f"{PATH}?x"):
            response = backend.http.request(method, path, headers=backend.bearer)
            assert response.status_code == 405
            assert response.headers["allow"] == "POST"


def test_browsers_of_an_allowed_origin_get_no_cors_headers(stack: Stack, backend: Backend):
    origin = {"Origin": "https://app.example"}
    with read_process(stack, CORS_ALLOWED_ORIGINS=origin["Origin"]) as (_, url):
        preflight = origin | {"Access-Control-Request-Method": "POST"}
        response = httpx.options(url + PATH, headers=preflight)
        assert response.status_code == 405
        headers = origin | backend.bearer
        answer = httpx.post(url + PATH, data={"token": "x"}, headers=headers)
        assert answer.json() == INACTIVE
        for each in (response, answer):
            assert not [name for name in each.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ("", {"token": "required"}),
        ("token=", {"token": "required"}),
        ("x=1", {"token": "required"}),
        ("token=a&token=b", {"token": "repeated"}),
        ("token=a&token=a", {"token": "repeated"}),
        ("token=a&claims=name", {"claims": "invalid"}),
        ("token=a&claims=profile&claims=profile", {"claims": "repeated"}),
        ("claims=&token=", {"token": "required", "claims": "invalid"}),
        ("token", {"body": "malformed_form", "token": None}),
        ("token=%ff", {"body": "malformed_form", "token": None}),
        ("token=\u00e9", {"body": "malformed_form", "token": None}),
        ("token=a" + "&b=c" * 20, {"body": "malformed_form", "token": None}),
    ],
)
def test_wrong_fields_of_a_form_are_named(backend: Backend, body: str, errors: dict[str, str]):
    form = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    response = backend.post(content=body.encode(), headers=form)
    assert field_errors(response) == {name: code for name, code in errors.items() if code}


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"tokens": "required"}),
        ([], {"body": "not_an_object"}),
        ({"tokens": []}, {"tokens": "blank"}),
        ({"tokens": "a"}, {"tokens": "not_a_list"}),
        ({"tokens": ["a", 1]}, {"tokens": "not_a_list"}),
        ({"tokens": ["a", "b", "a"]}, {"tokens": "repeated"}),
        ({"tokens": [str(n) for n in range(1_001)]}, {"tokens": "too_many"}),
        ({"tokens": ["a"], "claims": 1}, {"claims": "not_a_boolean"}),
        ({"token": "a", "claims": None},
         {"tokens": "required", "claims": "not_a_boolean", "token": "unknown_field"}),
    ],
)  # fmt: skip  # a list to be read at a glance
def test_wrong_fields_of_json_are_named(backend: Backend, body, errors: dict[str, str]):
    response = backend.post(json=body)
    assert field_errors(response) == errors


def test_wrong_media_types_and_malformed_json_are_rejected(backend: Backend):
    for body in (b"{", b"", b"[" * 100_000, b'{"tokens": ["\xff"]}', b'{"tokens": ["\\ud800"]}'):
        response = backend.post(content=body, headers={"Content-Type": "application/json"})
        assert (response.status_code, problem_code(response)) == (400, "malformed_json")
    for media_type in ("text/plain", "", "multipart/form-data; boundary=x"):
        response = backend.post(content=b"token=x", headers={"Content-Type": media_type})
        assert (response.status_code, problem_code(response)) == (415, "unsupported_media_type")
    response = backend.post(data={"token": "x"}, headers={"Content-Encoding": "gzip"})
    assert (response.status_code, response.headers["accept-encoding"]) == (415, "identity")


# --- Unavailable ---------------------------------------------------------------------------------


def test_missing_profile_loses_no_other_token_of_a_list(
    stack: Stack, django_db_access, backend: Backend, api: ApiClient
):
    from tests.support.profile_redis import get_client

    people = [api.sign_up() for _ in range(3)]
    for person in people:
        person.wait_for_outbox()
    missing, present, other = (person.token for person in people)
    suspend(stack.services["relay"])
    try:
        for person in (people[0], people[2]):
            get_client().delete(f"p:{person.id.replace('-', '')}")
        states = backend.introspect_all([missing, present, "x", other])
        single = backend.post(data={"token": missing})
        only = backend.post(json={"tokens": [missing, other]})
    finally:
        resume(stack.services["relay"])
    assert states[0] == states[3] == UNAVAILABLE
    assert (states[1]["active"], states[2]) == (True, INACTIVE)
    for response in (single, only):
        assert (response.status_code, problem_code(response)) == (503, "unavailable")
        assert response.headers["retry-after"] == "1"
    states = wait_until(lambda: no_errors(backend.introspect_all([missing, present, other])))
    assert [state["sub"] for state in states] == [person.id for person in people]


def no_errors(states: list[dict[str, object]]) -> list[dict[str, object]]:
    return [] if UNAVAILABLE in states else states


def test_write_process_that_gets_one_responds_503(stack: Stack, backend: Backend):
    socket_path = stack.environment()["WRITE_UPSTREAM"].removeprefix("unix:")
    transport = httpx.HTTPTransport(uds=socket_path)
    with httpx.Client(base_url=stack.url, transport=transport, timeout=20) as write:
        response = write.post(PATH, data={"token": "x"}, headers=backend.bearer)
        assert (response.status_code, problem_code(response)) == (503, "unavailable")
        assert write.get(PATH).status_code == 405


def test_read_process_without_a_proxy_introspects(stack: Stack, backend: Backend, api: ApiClient):
    person = api.sign_up()
    with read_process(stack, WRITE_UPSTREAM="") as (_, url), httpx.Client(base_url=url) as http:
        own = Backend(http, backend.name, backend.key)
        assert own.introspect(person.token)["sub"] == person.id
        own.introspect_all([person.token])
        route = 'method="POST",route="/api/v1/introspect",source='
        expected = [f'{route}"{source}",status="200"' for source in ("redis", "batch")]
        wait_until(lambda: all(each in httpx.get(f"{url}/metrics").text for each in expected))


# --- Hostile clients, and reads beside ----------------------------------------------------------


def encode_request(backend: Backend, body: bytes, *headers: str, path: str = PATH) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {backend.key}"]
    lines += headers or ("Content-Type: application/x-www-form-urlencoded",)
    if not any("Transfer-Encoding" in line for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def exchange(stack: Stack, *segments: bytes, responses: int = 1) -> list[tuple[int, bytes]]:
    """Sends segments one after the other on one connection; returns statuses and bodies."""
    with socket.create_connection((HOST, stack.port), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = connection.makefile("rb")
        for segment in segments:
            connection.sendall(segment)
        received = []
        for _ in range(responses):
            status = int(stream.readline().split()[1])
            length = 0
            while (line := stream.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split()[1])
            received.append((status, stream.read(length)))
        return received


def test_requests_in_any_segments_get_the_same_response(
    stack: Stack, backend: Backend, api: ApiClient
):
    """Also once the header section is cached, for each of the processes."""
    form = f"token={api.sign_up().token}".encode()
    other = f"token={forge(form[6:].decode())}".encode()
    active, inactive = encode_request(backend, form), encode_request(backend, other)
    for _ in range(6):
        ((status, body),) = exchange(stack, active)
        assert (status, body[:15]) == (200, b'{"active":true,')
        assert exchange(stack, active[:-50], active[-50:]) == [(200, body)]
        assert exchange(stack, active[: -len(form)], form) == [(200, body)]
        assert exchange(stack, active[:40], active[40:]) == [(200, body)]
        expected = [(200, body), (200, b'{"active":false}'), (200, body)]
        assert exchange(stack, active + inactive + active, responses=3) == expected
        parts = active + inactive[:-1], inactive[-1:] + active
        assert exchange(stack, *parts, responses=3) == expected
        chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(form), form)
        media_type = "Content-Type: application/x-www-form-urlencoded"
        head = encode_request(backend, b"", media_type, "Transfer-Encoding: chunked")
        assert exchange(stack, head + chunked) == [(200, body)]


def test_body_over_the_limit_is_a_413_and_one_at_the_limit_is_read(stack: Stack, backend: Backend):
    limit = 128 * 1024
    for size, status in ((limit, 400), (limit + 1, 413)):
        body = b"[" + b" " * (size - 2) + b"]"
        head = encode_request(backend, body, "Content-Type: application/json")
        for _ in range(2):
            assert exchange(stack, head)[0][0] == status
    chunk = b"%x\r\n%b\r\n" % (limit, b" " * limit)
    media_type = "Content-Type: application/json"
    head = encode_request(backend, b"", media_type, "Transfer-Encoding: chunked")
    assert exchange(stack, head + chunk + chunk)[0][0] == 413


def test_body_with_an_unknown_key_is_not_read(stack: Stack, backend: Backend):
    unknown = Backend(backend.http, "", forge(backend.key))
    head = encode_request(unknown, b" " * 100_000, "Content-Type: application/json")
    assert exchange(stack, head[:400])[0][0] == 401  # without waiting for the rest


def test_many_lists_at_once_end_in_results_or_503_and_hold_up_no_read(
    stack: Stack, backend: Backend, api: ApiClient, scale: int
):
    person = api.sign_up()
    body = orjson.dumps({"tokens": [person.token, *(f"text {n}" for n in range(999))]})
    request = encode_request(backend, body, "Content-Type: application/json")
    sockets = [socket.create_connection((HOST, stack.port), timeout=20) for _ in range(100)]
    try:
        for each in sockets:
            each.sendall(request)
        started_at = time.monotonic()
        assert person.profile().status_code == 200
        assert time.monotonic() - started_at < 1
        statuses = {int(each.makefile("rb").readline().split()[1]) for each in sockets}
    finally:
        for each in sockets:
            each.close()
    assert statuses <= {200, 503}
    assert 200 in statuses
    assert backend.introspect(person.token)["active"]
