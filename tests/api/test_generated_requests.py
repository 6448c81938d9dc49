"""Generated requests to every route: none is a 500, and none that is rejected writes anything."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from tests.conftest import LONG
from tests.support.generated_requests import (
    VALID,
    Credentials,
    GeneratedRequest,
    encode,
    requests,
    routes,
)
from tests.support.recorded_service import Answer, RecordedService

INVALID_BODIES, REQUESTS = (1_500, 7_000) if LONG else (75, 350)
EXAMPLES = settings(
    deadline=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def document(service: RecordedService) -> dict[str, Any]:
    schema: dict[str, Any] = service.http.get("/api/v1/schema/").json()
    return schema


def get_schema(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """Returns the schema of an operation's JSON body; empty if it has none."""
    media = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    schema: dict[str, Any] = media.get("schema", {})
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def make_strategy(document: dict[str, Any]) -> st.SearchStrategy[GeneratedRequest]:
    """Generates requests to all routes, less often to those of the admin."""
    strategies = []
    for route in routes():
        normalized = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", f"/{route.rstrip('/')}")
        paths = document["paths"]
        operations = paths.get(f"{normalized}/") or paths.get(normalized, {})
        names: set[str] = set()
        for operation in operations.values():
            names |= get_schema(document, operation).get("properties", {}).keys()
        methods = tuple(sorted(map(str.upper, operations))) or ("GET", "POST")
        is_costly = not names and route.startswith(("admin/", "api/v1/schema", "api/v1/docs"))
        strategies += [requests(route, frozenset(names), methods)] * (1 if is_costly else 6)
    return st.one_of(strategies)


def check(service: RecordedService, request: GeneratedRequest) -> Answer:
    """Sends a request and checks the response against the rules."""
    answer = service.send(request)
    try:
        assert answer.status < 400 or answer.media_type == "application/problem+json"
        service.assert_rules(request.method, answer.status, answer.body)
    except AssertionError as error:
        error.add_note(f"{request}\n{answer}")
        raise
    return answer


# Of no type that any field has, then values that no field of that name has.
WRONG_TYPES: tuple[Any, ...] = (None, 1, -1.5, True, {}, {"a": [1]}, [1], [None], [[]])
WRONG = {
    "tokens": ([], ["a", "a"], ["a", 1], [None], "a"),
    "name": ("", " ", "\0", "\n", "\u200b", "x" * 101),
    "surname": ("", "\t", "a\u2028b", "x" * 3000),
    "email": ("", "@", "a@b", "a b@example.com", "x" * 600, "a@example.com\0"),
    "phone": ("", "1", "+34", "x", "+" * 65, "+499999999999999999"),
    "hobbies": (["\0"], ["x" * 101], [str(number) for number in range(51)]),
    "code": ("", "12345", "abcdef", "0" * 400),
    "token": ("", "é", "x" * 201),
}
BOOLEANS = {"claims", "session_cookie"}
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
                values = (*WRONG_TYPES, *WRONG.get(name, ()))
                if name in BOOLEANS:
                    values = tuple(value for value in values if value is not True)
                body[name] = draw(st.sampled_from(values))
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
    service: RecordedService, document: dict[str, Any], record_property: Any
):
    @given(invalid=invalid_bodies(tuple(list_operations(document))))
    @settings(EXAMPLES, max_examples=INVALID_BODIES)
    def attack(invalid: InvalidBody) -> None:
        headers = ((b"Content-Type", b"application/json"),)
        path = re.sub(
            "{.*?}", "00000000-0000-0000-0000-000000000000", invalid.operation.path
        ).encode()
        body = encode(invalid.body)
        answer = check(
            service,
            GeneratedRequest(invalid.operation.method, path, headers, body, Credentials.LIVE),
        )
        errors = json.loads(answer.body).get("errors", [])
        assert sorted(error["field"] for error in errors) == sorted(invalid.wrong), invalid

    attack()
    record_property("summary", f"{INVALID_BODIES} invalid bodies: every wrong field named")


def test_generated_requests_are_never_a_500_and_write_nothing_on_a_4xx(
    service: RecordedService, document: dict[str, Any], record_property: Any
):
    statuses: Counter[str] = Counter()

    @given(request=make_strategy(document))
    @settings(EXAMPLES, max_examples=REQUESTS)
    def attack(request: GeneratedRequest) -> None:
        try:
            answer = check(service, request)
        except Exception:  # raised again: the next example needs a clean connection and people
            service.renew()
            raise
        statuses[f"{answer.status // 100}xx"] += 1
        if request.method == "DELETE" and answer.status == 204:
            service.renew()

    attack()
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(statuses.items()))
    summary = (
        f"{statuses.total()} generated requests ({counts}): none a 500, nothing written on a 4xx"
    )
    record_property("summary", summary)
    assert statuses.keys() >= {"2xx", "4xx"}
