"""The OpenAPI document is valid, and says what is there: every route, and what it answers."""

import re
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.someone import Rollcall, new_body

NOT_PART_OF_THE_API = ("admin/", "dev/")


@pytest.fixture
def document(rollcall: Rollcall) -> dict[str, Any]:
    document: dict[str, Any] = rollcall.http.get("/api/v1/schema/").json()
    return document


def test_document_is_valid_openapi_31(document):
    assert document["openapi"].startswith("3.1")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_document_has_every_route_and_no_other(django_here, document):
    from django.urls import get_resolver

    routes = {str(p.pattern) for p in get_resolver().url_patterns}
    routes = {r for r in routes if not r.startswith(NOT_PART_OF_THE_API)}
    routes.add("api/v1/profile/")  # the front door's own, at which Django is not asked
    described = {path.removeprefix("/").removesuffix("/") for path in document["paths"]}
    assert {r.removesuffix("/") for r in routes} == described


def described(document: dict[str, Any], answer: httpx.Response, path: str) -> dict[str, Any]:
    method = answer.request.method.lower()
    found: dict[str, Any] = document["paths"][path][method]["responses"][str(answer.status_code)]
    return found


def check(document: dict[str, Any], answer: httpx.Response, path: str) -> None:
    """Its status, media type, headers and body are as the document says, and no header is not."""
    response = described(document, answer, path)
    unspoken = {
        "content-length",
        "content-type",
        "date",
        "server",
        "x-content-type-options",
        "x-frame-options",
        "referrer-policy",
        "cross-origin-opener-policy",
        "allow",
    }
    names = {name.lower() for name in response.get("headers", {})}
    assert {n.lower() for n in answer.headers} - unspoken <= names
    assert names - {"allow"} <= {n.lower() for n in answer.headers} | {
        "vary",
        "cache-control",
        "idempotency-replayed",
    }
    if answer.content:
        media = response["content"][answer.headers["content-type"].split(";")[0]]
        schema = {**media["schema"], "components": document["components"]}
        Draft202012Validator(schema).validate(answer.json())


def test_responses_match_the_document(document, rollcall: Rollcall):
    someone = rollcall.sign_up()
    check(document, someone.answer, "/api/v1/signup/")
    check(document, rollcall.post("/api/v1/signup/", {"name": 1}), "/api/v1/signup/")
    check(document, rollcall.http.post("/api/v1/signup/", content="x"), "/api/v1/signup/")
    profile = "/api/v1/profile/"
    etag = someone.profile().headers["etag"]
    for answer in (
        someone.profile(),
        someone.profile(**{"If-None-Match": etag}),
        rollcall.http.get(profile),
        rollcall.http.head(profile, headers=someone.bearer),
    ):
        check(document, answer, profile)
    for channel in ("email", "phone"):
        path = f"/api/v1/confirmations/{channel}/"
        check(document, someone.confirm(channel, "000000"), path)
        check(document, someone.confirm(channel), path)
        check(document, rollcall.post(path, {"code": "123456"}), path)
    link = {"token": someone.message("email")["link"].partition("#")[2]}
    for body in (link, {"token": "x"}, {}):
        check(document, rollcall.post("/confirm/email/", body), "/confirm/email/")
    for path in ("/livez", "/readyz"):
        check(document, rollcall.http.get(path), path)


def test_responses_of_limited_routes_have_rate_limit_headers(document):
    from api.limits import match_limit

    limited = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if name := match_limit(method.upper(), path):
                limited.add(name)
                assert "Retry-After" in operation["responses"]["429"]["headers"]
                for response in operation["responses"].values():
                    assert {"RateLimit", "RateLimit-Policy"} <= response["headers"].keys()
    assert {"sign-up", "confirmation", "docs"} <= limited


def test_every_error_code_is_documented(django_here, document):
    from api.problem_documents import PROBLEMS

    words = document["components"]["schemas"]["ProblemDocument"]["properties"]["code"]
    if "$ref" in words:
        words = document["components"]["schemas"][words["$ref"].rpartition("/")[2]]
    assert set(words["enum"]) == set(PROBLEMS)


def test_docs_page_loads_nothing_from_other_hosts(rollcall: Rollcall):
    page = rollcall.http.get("/api/v1/docs/").text
    loaded = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    assert loaded
    assert all(url.startswith(("/static/", "data:")) for url in loaded)
    for url in loaded:
        assert url.startswith("data:") or rollcall.http.get(url).status_code == 200


def test_sign_up_example_matches_its_schema(document):
    media = document["paths"]["/api/v1/signup/"]["post"]["requestBody"]["content"]
    schema = {**media["application/json"]["schema"], "components": document["components"]}
    Draft202012Validator(schema).validate(new_body())
    Draft202012Validator(schema).validate(new_body(hobbies="chess\ngo"))
