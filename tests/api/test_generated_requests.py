"""Generated requests to every route: none is a 500, and none that is rejected writes anything."""

import http.client
import re
import socket
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from local.stack import Stack
from local.tcp_ports import HOST
from tests.support.client import ApiClient, read_process, socket_path
from tests.support.client import write_process as run_write_process
from tests.support.generated_requests import (
    VALID,
    Credentials,
    GeneratedRequest,
    encode,
    requests,
    routes,
)
from tests.support.webhook_signatures import sign_sendgrid, sign_vonage
from tests.support.write_recorder import WriteRecorder, record_writes

# What a rejected request may write, by the code of its problem.
ATTEMPTS = {"rollcall_confirmation", "rollcall_signinchallenge", "rollcall_ratelimitwindow"}
ALLOWED = {
    # An attempt at a code is committed before the comparison (NIST SP 800-63B-4 section 3.2.2).
    "code_invalid": ATTEMPTS,
    "code_expired": ATTEMPTS,
    "too_many_attempts": ATTEMPTS,
    # A repeated revocation completes the first one in Redis.
    "invalid_token": {"redis"},
}
EXAMPLES = settings(
    deadline=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Target:
    """The service under attack: a read process before a write process whose writes are recorded."""

    def __init__(self, url: str, recorder: WriteRecorder) -> None:
        self._port, self.recorder = int(url.rpartition(":")[2]), recorder
        self.api = ApiClient(httpx.Client(base_url=url, timeout=20))
        self._socket: socket.socket | None = None
        self._tokens: dict[Credentials, str] = {}
        self.renew()

    def renew(self) -> None:
        """Signs new people up, of whom one ends their session."""
        live, ended = self.api.sign_up(), self.api.sign_up()
        assert ended.request("DELETE", "sessions/current/").status_code == 204
        forged = live.token[:-1] + ("A" if live.token[-1] != "A" else "B")
        self._tokens = {
            Credentials.LIVE: live.token,
            Credentials.ENDED: ended.token,
            Credentials.FORGED: forged,
        }
        assert self.recorder.take() >= {"rollcall_person", "rollcall_session", "redis"}

    def send(self, request: GeneratedRequest) -> Answer:
        """Sends a request as it is, on a connection that is kept as long as possible."""
        self._socket = self._socket or socket.create_connection((HOST, self._port), timeout=20)
        self._socket.sendall(self._encode(request))
        response = http.client.HTTPResponse(self._socket, method=request.method)
        response.begin()
        answer = Answer(
            response.status, {k.lower(): v for k, v in response.headers.items()}, response.read()
        )
        if response.will_close:
            self.disconnect()
        return answer

    def disconnect(self) -> None:
        if self._socket:
            self._socket.close()
        self._socket = None

    def _encode(self, request: GeneratedRequest) -> bytes:
        headers = list(request.headers)
        if not any(name.lower() == b"host" for name, _ in headers):
            headers.append((b"Host", f"{HOST}:{self._port}".encode()))
        if request.body is not None:
            headers.append((b"Content-Length", str(len(request.body)).encode()))
        headers += self._sign(request)
        lines = [b"%b %b HTTP/1.1" % (request.method.encode(), request.target)]
        lines += [b"%b: %b" % header for header in headers]
        return b"\r\n".join(lines) + b"\r\n\r\n" + (request.body or b"")

    def _sign(self, request: GeneratedRequest) -> list[tuple[bytes, bytes]]:
        if request.credentials is Credentials.NONE:
            return []
        fields = {"Authorization": f"Bearer {self._tokens[request.credentials]}"}
        if request.credentials is Credentials.LIVE and request.target.startswith(b"/webhooks/"):
            sign = sign_sendgrid if b"sendgrid" in request.target else sign_vonage
            fields = sign(request.body or b"")
            fields.pop("Content-Type")
        return [(name.encode(), value.encode()) for name, value in fields.items()]


@pytest.fixture(scope="module")
def target(stack: Stack, django_setup: None) -> Iterator[Target]:
    env = stack.environment()
    with (
        record_writes(env["DATABASE_URL"], env["REDIS_URL"]) as recorder,
        run_write_process(stack, **recorder.env) as (_, write_url),
        read_process(stack, WRITE_UPSTREAM=f"unix:{socket_path(write_url)}") as (_, url),
    ):
        target = Target(url, recorder)
        yield target
        target.disconnect()
        target.api.http.close()


@pytest.fixture(scope="module")
def document(target: Target) -> dict[str, Any]:
    schema: dict[str, Any] = target.api.http.get("/api/v1/schema/").json()
    return schema


def get_schema(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """Returns the schema of an operation's JSON body; empty if it has none."""
    media = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    schema: dict[str, Any] = media.get("schema", {})
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def make_strategy(document: dict[str, Any]) -> st.SearchStrategy[GeneratedRequest]:
    """Generates requests to all routes: six times as often to one that the document describes."""
    strategies = []
    for route in routes():
        normalized = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", f"/{route.rstrip('/')}")
        operations = document["paths"].get(f"{normalized}/") or document["paths"].get(
            normalized, {}
        )
        names: set[str] = set()
        for operation in operations.values():
            names |= get_schema(document, operation).get("properties", {}).keys()
        methods = tuple(sorted(map(str.upper, operations))) or ("GET", "POST")
        weight = (
            6
            if route.startswith("api/v1/") and "schema" not in route and "docs" not in route
            else 1
        )
        strategies += [requests(route, frozenset(names), methods)] * weight
    return st.one_of(strategies)


def check(target: Target, request: GeneratedRequest) -> Answer:
    """Sends a request and checks its answer against the rules."""
    answer = target.send(request)
    written = target.recorder.take()
    assert answer.status < 500, (request, answer)
    if answer.status < 400 or request.method == "HEAD":
        return answer
    assert answer.headers["content-type"] == "application/problem+json", (request, answer)
    problem = httpx.Response(200, content=answer.body).json()
    assert written <= ALLOWED.get(problem["code"], set()), (request, answer, written)
    if problem["code"] == "validation_failed":
        assert problem["errors"], answer
        assert all({"field", "code", "message"} == error.keys() for error in problem["errors"])
    return answer


# Of no type that any field has, then values that no field of that name has.
WRONG_TYPES: tuple[Any, ...] = (None, 1, -1.5, True, {}, {"a": [1]}, [1], [None], [[]])
WRONG = {
    "name": ("", " ", "\0", "\n", "\u200b", "x" * 101),
    "surname": ("", "\t", "a\u2028b", "x" * 3000),
    "email": ("", "@", "a@b", "a b@example.com", "x" * 600, "a@example.com\0"),
    "phone": ("", "1", "+34", "x", "+" * 65, "+499999999999999999"),
    "hobbies": (["\0"], ["x" * 101], [str(number) for number in range(51)]),
    "code": ("", "12345", "abcdef", "0" * 400),
    "token": ("", "é", "x" * 201),
}
UNKNOWN = st.sampled_from(("nickname", "Name", "id", "", "__proto__", "né", "email ", "body"))
EXACTLY_ONE_OF = {
    "requestSignInCode": ("email", "phone"),
    "signIn": ("email", "phone"),
    "confirmEmail": ("code", "token"),
}


class Operation(NamedTuple):
    method: str
    path: str
    properties: tuple[str, ...]
    required: frozenset[str]
    one_of: tuple[str, ...]  # exactly one of these


class InvalidBody(NamedTuple):
    """A body, and the names of all that is wrong with it."""

    operation: Operation
    body: dict[str, Any]
    wrong: set[str]


@st.composite
def invalid_bodies(draw: st.DrawFn, operations: tuple[Operation, ...]) -> InvalidBody:
    """Generates bodies of one of the operations, of which some fields are wrong."""
    operation = draw(st.sampled_from(operations))
    unknown = draw(st.sets(UNKNOWN, max_size=3))
    body: dict[str, Any] = {name: draw(st.sampled_from(WRONG_TYPES)) for name in sorted(unknown)}
    wrong = set(body)
    for name in operation.properties:
        kinds = ("absent", "wrong", "wrong", *(["valid"] * 3 if name in VALID else []))
        match draw(st.sampled_from(kinds)):
            case "wrong":
                body[name] = draw(st.sampled_from((*WRONG_TYPES, *WRONG.get(name, ()))))
                wrong.add(name)
            case "valid":
                body[name] = VALID[name]
    wrong |= operation.required - body.keys()
    if operation.one_of and len(body.keys() & set(operation.one_of)) != 1:
        wrong.add(operation.one_of[0])
    assume(wrong)
    return InvalidBody(operation, body, wrong)


def list_operations(document: dict[str, Any]) -> Iterator[Operation]:
    """Yields the operations whose body is a JSON object with named fields."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            schema = get_schema(document, operation)
            properties = tuple(sorted(schema.get("properties", ())))
            one_of = EXACTLY_ONE_OF.get(operation["operationId"], ())
            if not set(one_of) <= set(properties):
                one_of = ()
            if properties and not path.startswith("/webhooks/"):  # signed, not validated
                required = frozenset(schema.get("required", ()))
                yield Operation(method.upper(), path, properties, required, one_of)


def test_every_wrong_field_is_named_and_no_other(
    target: Target, document: dict[str, Any], scale: int, record_property: Any
):
    @given(invalid=invalid_bodies(tuple(list_operations(document))))
    @settings(EXAMPLES, max_examples=150 * scale)
    def attack(invalid: InvalidBody) -> None:
        headers = ((b"Content-Type", b"application/json"),)
        path = re.sub(
            "{.*?}", "00000000-0000-0000-0000-000000000000", invalid.operation.path
        ).encode()
        body = encode(invalid.body)
        answer = check(
            target,
            GeneratedRequest(invalid.operation.method, path, headers, body, Credentials.LIVE),
        )
        errors = httpx.Response(answer.status, content=answer.body).json().get("errors", [])
        assert sorted(error["field"] for error in errors) == sorted(invalid.wrong), invalid

    attack()
    record_property("summary", f"{150 * scale} invalid bodies: every wrong field named")


def test_generated_requests_are_never_a_500_and_write_nothing_on_a_4xx(
    target: Target, document: dict[str, Any], scale: int, record_property: Any
):
    statuses: Counter[str] = Counter()

    @given(request=make_strategy(document))
    @settings(EXAMPLES, max_examples=700 * scale)
    def attack(request: GeneratedRequest) -> None:
        try:
            answer = check(target, request)
        except Exception:
            target.disconnect()
            target.renew()
            raise
        statuses[f"{answer.status // 100}xx"] += 1
        if request.method == "DELETE" and answer.status == 204:
            target.renew()

    attack()
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(statuses.items()))
    summary = (
        f"{statuses.total()} generated requests ({counts}): none a 500, nothing written on a 4xx"
    )
    record_property("summary", summary)
    assert statuses.keys() >= {"2xx", "4xx"}
