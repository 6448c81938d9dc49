"""The OpenAPI document: `operation` describes a view's method, `complete_document` adds the rest.

What is alike in all operations is added at the end: tags, common headers, and the problems that
follow from a body, a token or a rate limit.
"""

from copy import deepcopy
from http import HTTPStatus
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema

from api.bearer import SESSION_COOKIE
from api.problem_details import PROBLEMS
from api.writes.rate_limiting import match_limit

type Security = list[dict[str, list[str]]]

BACKEND_KEY: Security = [{"backendKey": []}]
_BY_COOKIE: dict[str, list[str]] = {"sessionCookie": []}
SESSION_TOKEN: Security = [{"sessionToken": []}, _BY_COOKIE]
OPTIONAL_SESSION_TOKEN: Security = [*SESSION_TOKEN, {}]
PUBLIC: Security = [{}]

_TAGS = {
    "/api/v1/confirmations/": "confirmations",
    "/api/v1/docs/": "pages",
    "/api/v1/introspect/": "backends",
    "/api/v1/profile/": "people",
    "/api/v1/sessions/": "sessions",
    "/api/v1/signup/": "people",
    "/confirm/": "pages",
    "/webhooks/": "webhooks",
    "/": "operations",
}
_TEXT = {"type": "string"}


def operation(
    operation_id: str,
    summary: str,
    responses: dict[Any, Any],
    *parameters: OpenApiParameter,
    body: Any = None,
    security: Security = SESSION_TOKEN,
) -> Any:
    """Describes a view's method. `responses` has the successes by status, and, as None, the
    problems that only this operation has. `parameters` may be headers of its responses.
    """
    return extend_schema(
        operation_id=operation_id,
        summary=summary,
        responses=responses,
        parameters=list(parameters),
        request=body,
        auth=security,  # type: ignore[arg-type]  # its annotation is too narrow
    )


def request_header(name: str, description: str, schema: Any = str) -> OpenApiParameter:
    """Describes a header of the request."""
    return OpenApiParameter(name, schema, OpenApiParameter.HEADER, description=description)


def response_header(name: str, description: str, *statuses: int) -> OpenApiParameter:
    """Describes a header of the responses with these statuses."""
    return OpenApiParameter(
        name, str, OpenApiParameter.HEADER, description=description, response=list(statuses)
    )


def complete_document(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Adds what no view describes; called by drf-spectacular."""
    paths = result["paths"]
    paths["/api/v1/docs/"] = _describe_page("getApiDocumentation", "API documentation", "text/html")
    paths["/api/v1/schema/"] = _describe_page(
        "getOpenApiSchema", "OpenAPI document", "application/json"
    )
    paths["/api/v1/profile/"]["head"] = _describe_head(paths["/api/v1/profile/"]["get"])
    result["paths"] = dict(sorted(paths.items()))
    for path, operations in paths.items():
        for method, description in operations.items():
            description["tags"] = [next(_TAGS[p] for p in _TAGS if path.startswith(p))]
            if method not in ("get", "head") and _BY_COOKIE in description["security"]:
                description["responses"].setdefault("403", {})
            _add_problems(description, is_limited=bool(match_limit(method.upper(), path)))
    result["components"]["schemas"] |= _problem_schemas()
    result["components"]["securitySchemes"] = _security_schemes()
    return result


def _describe_head(get: dict[str, Any]) -> dict[str, Any]:
    head = deepcopy(get)
    head |= {"operationId": "headProfile", "summary": "Get the profile's headers"}
    del head["responses"]["200"]["content"]
    return head


def _security_schemes() -> dict[str, Any]:
    return {
        "sessionToken": _bearer("A session token."),
        "sessionCookie": {
            "type": "apiKey",
            "in": "cookie",
            "name": SESSION_COOKIE,
            "description": "A session token that a browser keeps; changes need an allowed Origin.",
        },
        "backendKey": _bearer("A key made by `manage.py backends make`."),
        "metricsToken": _bearer("The value of METRICS_TOKEN."),
        "vonageJwt": _bearer("A JWT signed by Vonage."),
    }


def _describe_page(operation_id: str, title: str, media_type: str) -> dict[str, Any]:
    schema = {"type": "object"} if media_type == "application/json" else _TEXT
    page = {
        "operationId": operation_id,
        "summary": f"Get the {title}",
        "security": PUBLIC,
        "responses": {"200": {"content": {media_type: {"schema": schema}}}},
    }
    return {"get": page}


def _bearer(description: str) -> dict[str, str]:
    return {"type": "http", "scheme": "bearer", "description": description}


def _add_problems(description: dict[str, Any], *, is_limited: bool) -> None:
    """Adds the responses that follow from the operation's properties, and all common headers."""
    responses = description["responses"]
    statuses = [500, 503]
    if body := description.get("requestBody"):
        body["required"] = True
        statuses += [400, 413, 415]
    statuses += [401] if description["security"] != PUBLIC else []
    statuses += [429] if is_limited else []
    for status in map(str, statuses):
        responses.setdefault(status, {})
    for status, response in responses.items():
        if status >= "400" and "content" not in response:
            response |= _problem(int(status))
        else:
            response["description"] = HTTPStatus(int(status)).phrase
        response["headers"] = _headers(status, is_limited) | response.get("headers", {})
    description["responses"] = dict(sorted(responses.items()))


def _problem(status: int) -> dict[str, Any]:
    codes = [f"`{code}`" for code, (its_status, _) in PROBLEMS.items() if its_status == status]
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    return {
        "description": ", ".join(codes),
        "content": {"application/problem+json": {"schema": schema}},
    }


def _headers(status: str, is_limited: bool) -> dict[str, Any]:
    """Returns the headers of responses with this status."""
    texts = {
        "X-Request-ID": "Identifies this request in the logs.",
        "Cache-Control": "`no-store`.",
    }
    if is_limited:
        texts["RateLimit-Policy"] = 'The limit: `"sign-up";q=10;w=60` is 10 requests in 60 seconds.'
        texts["RateLimit"] = 'The remaining quota: `"sign-up";r=4;t=60` is 4 in 60 seconds.'
    if status >= "400":
        texts["Content-Language"] = "The language of the texts."
        texts["Vary"] = "`Accept-Language`."
    if status == "401":
        texts["WWW-Authenticate"] = "`Bearer`."
    elif status == "415":
        texts["Accept"] = "The supported media type."
    elif status in ("429", "503"):
        texts["Retry-After"] = "Seconds to wait."
    return {name: {"description": text, "schema": _TEXT} for name, text in texts.items()}


def _problem_schemas() -> dict[str, Any]:
    """Returns the schemas of what `api.problem_details.build_problem` makes."""
    texts: dict[str, Any] = dict.fromkeys(("type", "title", "detail", "request_id"), _TEXT)
    code = {"$ref": "#/components/schemas/ErrorCode"}
    required = texts | {"status": {"type": "integer"}, "code": code}
    errors = {"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}}
    details = {code: detail for code, (_, detail) in sorted(PROBLEMS.items())}
    return {
        "ErrorCode": _TEXT | {"enum": list(details), "x-enumDescriptions": details},
        "ProblemDetails": _object_schema(required) | {"properties": required | {"errors": errors}},
        "FieldError": _object_schema(dict.fromkeys(("field", "code", "message"), _TEXT)),
    }


def _object_schema(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}
