"""The OpenAPI document is valid and complete, and responses match it."""

import re
from typing import Any

import httpx
import pytest

from tests.support.client import ApiClient, sign_up_payload

UNDOCUMENTED_PATHS = ("admin/", "dev/")


def validate(schema: dict[str, Any], value: Any) -> None:
    from jsonschema import Draft202012Validator  # 2 s, not for each process of pytest-xdist

    Draft202012Validator(schema).validate(value)


@pytest.fixture
def document(api: ApiClient) -> dict[str, Any]:
    document: dict[str, Any] = api.http.get("/api/v1/schema/").json()
    return document


def test_document_is_valid_openapi_31(document):
    from openapi_spec_validator import OpenAPIV31SpecValidator

    assert document["openapi"].startswith("3.1")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_document_has_every_route_and_no_other(django_db_access, document):
    from django.urls import get_resolver

    routes = {str(p.pattern) for p in get_resolver().url_patterns}
    routes = {r for r in routes if not r.startswith(UNDOCUMENTED_PATHS)}
    routes.add("api/v1/profile/")  # GET and HEAD, which the read process serves
    documented_paths = {path.removeprefix("/").removesuffix("/") for path in document["paths"]}
    routes = {re.sub("<[a-z]+:([a-z_]+)>", r"{\1}", route.removesuffix("/")) for route in routes}
    assert routes == documented_paths


def get_documented_response(
    document: dict[str, Any], response: httpx.Response, path: str
) -> dict[str, Any]:
    method = response.request.method.lower()
    documented: dict[str, Any] = document["paths"][path][method]["responses"][
        str(response.status_code)
    ]
    return documented


def assert_as_documented(document: dict[str, Any], response: httpx.Response, path: str) -> None:
    """Checks status, media type, headers and body of a response against the document."""
    documented = get_documented_response(document, response, path)
    undocumented = {
        "content-length",
        "content-type",
        "date",
        "server",
        "x-content-type-options",
        "x-frame-options",
        "referrer-policy",
        "cross-origin-opener-policy",
        "content-security-policy",
        "allow",
    }
    names = {name.lower() for name in documented.get("headers", {})}
    assert {n.lower() for n in response.headers} - undocumented <= names
    assert names - {"allow"} <= {n.lower() for n in response.headers} | {
        "vary",
        "cache-control",
        "idempotency-replayed",
    }
    if response.content:
        media = documented["content"][response.headers["content-type"].split(";")[0]]
        schema = {**media["schema"], "components": document["components"]}
        validate(schema, response.json())


def test_responses_match_the_document(document, api: ApiClient):
    person = api.sign_up()
    assert_as_documented(document, person.response, "/api/v1/signup/")
    assert_as_documented(document, api.post("/api/v1/signup/", {"name": 1}), "/api/v1/signup/")
    assert_as_documented(document, api.http.post("/api/v1/signup/", content="x"), "/api/v1/signup/")
    profile = "/api/v1/profile/"
    etag = person.profile().headers["etag"]
    for response in (
        person.profile(),
        person.profile(**{"If-None-Match": etag}),
        person.profile(**{"If-Match": '"stale"'}),
        person.patch({}, **{"If-None-Match": etag}),
        person.request("DELETE", "profile/", headers={"If-Match": '"stale"'}),
        api.http.get(profile),
        api.http.head(profile, headers=person.bearer),
    ):
        assert_as_documented(document, response, profile)
    for channel in ("email", "phone"):
        path = f"/api/v1/confirmations/{channel}/"
        assert_as_documented(document, person.confirm(channel, "000000"), path)
        assert_as_documented(document, person.confirm(channel), path)
        assert_as_documented(document, api.post(path, {"code": "123456"}), path)
    link = {"token": person.message("email")["link"].partition("#")[2]}
    for body in (link, {"token": "x"}, {}):
        assert_as_documented(document, api.post("/confirm/email/", body), "/confirm/email/")
    for path in ("/livez", "/readyz"):
        assert_as_documented(document, api.http.get(path), path)


def test_responses_of_limited_routes_have_rate_limit_headers(document):
    from api.writes.rate_limiting import match_limit

    limited = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if name := match_limit(method.upper(), path):
                limited.add(name)
                assert "Retry-After" in operation["responses"]["429"]["headers"]
                for response in operation["responses"].values():
                    assert {"RateLimit", "RateLimit-Policy"} <= response["headers"].keys()
    assert {"sign-up", "confirmation", "docs"} <= limited


def test_every_error_code_is_documented(django_db_access, document):
    from api.problem_details import PROBLEMS

    code = document["components"]["schemas"]["ProblemDetails"]["properties"]["code"]
    if "$ref" in code:
        code = document["components"]["schemas"][code["$ref"].rpartition("/")[2]]
    assert set(code["enum"]) == set(PROBLEMS)


def test_docs_page_loads_nothing_from_other_hosts(api: ApiClient):
    page = api.http.get("/api/v1/docs/").text
    resources = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    assert resources
    own = ("/static/", "/api/v1/docs/?script=", "data:")
    assert all(url.startswith(own) for url in resources)
    for url in resources:
        assert url.startswith("data:") or api.http.get(url).status_code == 200


def test_sign_up_example_matches_its_schema(document):
    media = document["paths"]["/api/v1/signup/"]["post"]["requestBody"]["content"]
    schema = {**media["application/json"]["schema"], "components": document["components"]}
    validate(schema, sign_up_payload())
    validate(schema, sign_up_payload(hobbies="chess\ngo"))
