"""The paths of the OpenAPI document that no DRF view describes: reads, pages, webhooks, probes."""

from typing import Any

from rest_framework.request import Request

from api.problem_details import PROBLEMS
from api.writes.rate_limiting import match_limit

_TEXT = {"type": "string"}


def drop_slashless_routes(endpoints: list[Any]) -> list[Any]:
    """Leaves out the routes without a trailing slash: they are aliases."""
    return [endpoint for endpoint in endpoints if endpoint[0].endswith("/")]


def add_extra_paths(result: dict[str, Any], generator: Any, request: Request, public: bool) -> Any:
    """Adds what drf-spectacular cannot see, and sorts the paths."""
    components = result.setdefault("components", {})
    components["securitySchemes"] = {
        "sessionToken": {"type": "http", "scheme": "bearer", "description": "A session token."},
        "metricsToken": {
            "type": "http",
            "scheme": "bearer",
            "description": "The value of METRICS_TOKEN.",
        },
        "vonageJwt": {"type": "http", "scheme": "bearer", "description": "A JWT signed by Vonage."},
    }
    paths = result["paths"]
    for path, operations in _extra_paths().items():
        paths[path] = paths.get(path, {}) | operations
    result["paths"] = dict(sorted(paths.items()))
    for path, operations in paths.items():
        for method, operation in operations.items():
            if match_limit(method.upper(), path):
                _document_rate_limit(operation["responses"])
    return result


def _document_rate_limit(responses: dict[str, Any]) -> None:
    """Adds the 429 and the `RateLimit` headers of a limited route."""
    codes = ", ".join(f"`{code}`" for code, (status, _) in PROBLEMS.items() if status == 429)
    responses.setdefault("429", _problem(codes, Retry_After="Seconds to wait."))
    for response in responses.values():
        response["headers"] = response.get("headers", {}) | _LIMIT


def _header(description: str) -> dict[str, Any]:
    return {"description": description, "schema": _TEXT}


_COMMON = {"X-Request-ID": _header("Identifies this request in the logs.")}
_LIMIT = {
    "RateLimit-Policy": _header('The limit: `"sign-up";q=10;w=60` is 10 requests in 60 seconds.'),
    "RateLimit": _header('The remaining quota: `"sign-up";r=4;t=60` is 4 in the next 60 seconds.'),
}
_NO_STORE = {"Cache-Control": _header("`no-store`.")}


def _problem(description: str, **headers: str) -> dict[str, Any]:
    return {
        "description": description,
        "headers": _COMMON
        | _NO_STORE
        | {name.replace("_", "-"): _header(text) for name, text in headers.items()},
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}
        },
    }


def _page_operation(
    operation_id: str,
    summary: str,
    tag: str = "pages",
    media_type: str = "text/html",
    schema: Any = None,
) -> dict[str, Any]:
    content = {media_type: {"schema": schema or _TEXT}}
    return {
        "get": {
            "operationId": operation_id,
            "summary": summary,
            "tags": [tag],
            "security": [],
            "responses": {
                "200": {"description": summary, "headers": _COMMON | _NO_STORE, "content": content},
                "405": _problem("`method_not_allowed`", Allow="The methods that exist."),
            },
        }
    }


def _read_operation(operation_id: str, summary: str, body: bool) -> dict[str, Any]:
    validators = _COMMON | {
        "ETag": _header("A strong validator of the body."),
        "Cache-Control": _header("`private, no-cache`."),
        "Vary": _header("`Authorization`."),
    }
    schema = {"$ref": "#/components/schemas/Profile"}
    content = {"application/json": {"schema": schema}} if body else {}
    vary = {"Vary": "`Authorization`."}
    return {
        "operationId": operation_id,
        "summary": summary,
        "tags": ["people"],
        "security": [{"sessionToken": []}],
        "parameters": [
            {
                "name": "If-None-Match",
                "in": "header",
                "schema": _TEXT,
                "description": "ETags that the client has; 304 if one is the current one.",
            }
        ],
        "responses": {
            "200": {"description": "The profile.", "headers": validators}
            | ({"content": content} if body else {}),
            "304": {"description": "Not modified.", "headers": validators},
            "401": _problem("`invalid_token`", WWW_Authenticate="`Bearer`.", **vary),
            "405": _problem("`method_not_allowed`", Allow="`GET, HEAD, PATCH, DELETE`."),
            "500": _problem("`internal_error`"),
            "503": _problem("`unavailable`", Retry_After="Seconds to wait.", **vary),
        },
    }


def _webhook_operation(
    provider: str, schema: dict[str, Any], *media: str, **options: Any
) -> dict[str, Any]:
    """Describes the webhook of a provider, whose bodies have this schema."""
    return {
        "post": {
            "operationId": f"receive{provider}Receipts",
            "summary": f"Receive delivery receipts from {provider}",
            "tags": ["webhooks"],
            "requestBody": {"required": True, "content": {m: {"schema": schema} for m in media}},
            "responses": {
                "204": {
                    "description": "The signature is valid; the receipts are recorded.",
                    "headers": _COMMON | _NO_STORE,
                },
                "401": _problem("`invalid_signature`", WWW_Authenticate="`Bearer`."),
                "405": _problem("`method_not_allowed`", Allow="`POST`."),
                "500": _problem("`internal_error`"),
                "503": _problem("`unavailable`", Retry_After="Seconds to wait."),
            },
            **options,
        }
    }


def _webhook_paths() -> dict[str, Any]:
    signature_headers = [
        {"name": f"X-Twilio-Email-Event-Webhook-{name}", "in": "header", "schema": _TEXT}
        for name in ("Signature", "Timestamp")
    ]
    event = {"type": "object", "properties": {"event": _TEXT, "sg_message_id": _TEXT}}
    receipt = {"type": "object", "properties": {"messageId": _TEXT, "status": _TEXT}}
    json, form = "application/json", "application/x-www-form-urlencoded"
    events = {"type": "array", "items": event}
    return {
        "/webhooks/sendgrid/": _webhook_operation(
            "SendGrid", events, json, security=[], parameters=signature_headers
        ),
        "/webhooks/vonage/": _webhook_operation(
            "Vonage", receipt, json, form, security=[{"vonageJwt": []}]
        ),
    }


def _probe_operation(operation_id: str, summary: str, **states: Any) -> dict[str, Any]:
    document = {
        "type": "object",
        "properties": {"status": _TEXT} | dict.fromkeys(states, _TEXT),
        "required": ["status"],
    }
    return _page_operation(operation_id, summary, "operations", "application/json", document)


def _extra_paths() -> dict[str, Any]:
    ready = _probe_operation("getReadiness", "Get the readiness", read=True, write=True)
    ready["get"]["parameters"] = [
        {
            "name": "capability",
            "in": "query",
            "description": "Check this capability alone; may be repeated.",
            "schema": {"type": "array", "items": {"enum": ["read", "write"]}},
        }
    ]
    ready["get"]["responses"]["503"] = ready["get"]["responses"]["200"] | {
        "description": "A requested capability is unavailable.",
        "headers": _COMMON | _NO_STORE | {"Retry-After": _header("Seconds to wait.")},
    }
    ready["get"]["responses"]["404"] = _problem("`not_found`: unknown capability")
    metrics = _page_operation(
        "getMetrics", "Get the metrics for Prometheus", "operations", "text/plain"
    )
    metrics["get"]["security"] = [{"metricsToken": []}, {}]
    metrics["get"]["responses"] |= {
        "401": _problem("`invalid_token`", WWW_Authenticate="`Bearer`."),
        "404": _problem("`not_found`: disabled"),
    }
    return {
        "/api/v1/profile/": {
            "get": _read_operation("getProfile", "Get the caller's profile", body=True),
            "head": _read_operation("headProfile", "Get the profile's headers", body=False),
        },
        "/confirm/email/": _page_operation(
            "getConfirmationPage", "Get the page that a confirmation link opens"
        ),
        "/api/v1/schema/": _page_operation(
            "getOpenApiSchema",
            "Get this OpenAPI document",
            "operations",
            "application/json",
            {"type": "object"},
        ),
        "/api/v1/docs/": _page_operation("getApiDocumentation", "Get the API documentation"),
        "/metrics": metrics,
        "/livez": _probe_operation("getLiveness", "Get the liveness"),
        "/readyz": ready,
        **_webhook_paths(),
    }
