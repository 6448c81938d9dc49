"""The parts of the OpenAPI document that no serializer tells: the read, the pages, the probes."""

from typing import Any

from rest_framework.request import Request

from api.limits import limit_of
from api.problem_documents import STATUS

_TEXT = {"type": "string"}


def one_spelling(endpoints: list[Any]) -> list[Any]:
    """Leave out the routes without their last slash: they are the same routes."""
    return [endpoint for endpoint in endpoints if endpoint[0].endswith("/")]


def complete(result: dict[str, Any], generator: Any, request: Request, public: bool) -> Any:
    """Add what drf-spectacular cannot see, and sort the paths."""
    components = result.setdefault("components", {})
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "The session's token."},
        "operator": {"type": "http", "scheme": "bearer", "description": "METRICS_TOKEN."},
        "vonage": {"type": "http", "scheme": "bearer", "description": "A JWT signed by Vonage."},
    }
    paths = result["paths"]
    for path, operations in _paths().items():
        paths[path] = paths.get(path, {}) | operations
    result["paths"] = dict(sorted(paths.items()))
    for path, operations in paths.items():
        for method, operation in operations.items():
            if limit_of(method.upper(), path):
                _tell_limit(operation["responses"])
    return result


def _tell_limit(responses: dict[str, Any]) -> None:
    """Every answer of a limited route tells the limit, and one of them is the refusal."""
    words = ", ".join(f"`{word}`" for word, (status, _) in STATUS.items() if status == 429)
    responses.setdefault("429", _problem(words, Retry_After="Seconds to wait."))
    for response in responses.values():
        response["headers"] = response.get("headers", {}) | _LIMIT


def _header(description: str) -> dict[str, Any]:
    return {"description": description, "schema": _TEXT}


_COMMON = {"X-Request-ID": _header("Names this request in our logs.")}
_LIMIT = {
    "RateLimit-Policy": _header('The limit: `"sign-up";q=10;w=60` is 10 requests in 60 seconds.'),
    "RateLimit": _header('What is left of it: `"sign-up";r=4;t=60` is 4 in the next 60 seconds.'),
}
_NO_STORE = {"Cache-Control": _header("`no-store`.")}


def _problem(description: str, **headers: str) -> dict[str, Any]:
    return {
        "description": description,
        "headers": _COMMON
        | _NO_STORE
        | {name.replace("_", "-"): _header(text) for name, text in headers.items()},
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}
        },
    }


def _page(summary: str, media_type: str = "text/html", schema: Any = None) -> dict[str, Any]:
    content = {media_type: {"schema": schema or _TEXT}}
    return {
        "get": {
            "operationId": summary.title().replace(" ", ""),
            "summary": summary,
            "tags": ["pages and probes"],
            "security": [],
            "responses": {
                "200": {"description": summary, "headers": _COMMON | _NO_STORE, "content": content},
                "405": _problem("`method_not_allowed`", Allow="The methods that exist."),
            },
        }
    }


def _read(operation_id: str, summary: str, body: bool) -> dict[str, Any]:
    validators = _COMMON | {
        "ETag": _header("A strong validator of the body."),
        "Cache-Control": _header("`private, no-cache`."),
        "Vary": _header("`Authorization`."),
    }
    schema = {"$ref": "#/components/schemas/ProfileDocument"}
    content = {"application/json": {"schema": schema}} if body else {}
    vary = {"Vary": "`Authorization`."}
    return {
        "operationId": operation_id,
        "summary": summary,
        "tags": ["people"],
        "security": [{"bearer": []}],
        "parameters": [
            {
                "name": "If-None-Match",
                "in": "header",
                "schema": _TEXT,
                "description": "The ETag that the client has; 304 if it is still the current one.",
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


def _webhook(provider: str, shape: dict[str, Any], *media: str, **more: Any) -> dict[str, Any]:
    """Where a provider sends its receipts, in a body of that shape."""
    return {
        "post": {
            "operationId": f"take{provider}Receipts",
            "summary": f"Take delivery receipts from {provider}",
            "tags": ["webhooks"],
            "requestBody": {"required": True, "content": {m: {"schema": shape} for m in media}},
            "responses": {
                "204": {
                    "description": "Rightly signed, and noted.",
                    "headers": _COMMON | _NO_STORE,
                },
                "401": _problem("`invalid_signature`: anything else", WWW_Authenticate="`Bearer`."),
                "405": _problem("`method_not_allowed`", Allow="`POST`."),
                "500": _problem("`internal_error`"),
                "503": _problem("`unavailable`", Retry_After="Seconds to wait."),
            },
            **more,
        }
    }


def _webhooks() -> dict[str, Any]:
    signed = [
        {"name": f"X-Twilio-Email-Event-Webhook-{name}", "in": "header", "schema": _TEXT}
        for name in ("Signature", "Timestamp")
    ]
    event = {"type": "object", "properties": {"event": _TEXT, "sg_message_id": _TEXT}}
    receipt = {"type": "object", "properties": {"messageId": _TEXT, "status": _TEXT}}
    json, form = "application/json", "application/x-www-form-urlencoded"
    events = {"type": "array", "items": event}
    return {
        "/webhooks/sendgrid/": _webhook("SendGrid", events, json, security=[], parameters=signed),
        "/webhooks/vonage/": _webhook("Vonage", receipt, json, form, security=[{"vonage": []}]),
    }


def _probe(summary: str, **states: Any) -> dict[str, Any]:
    document = {
        "type": "object",
        "properties": {"status": _TEXT} | dict.fromkeys(states, _TEXT),
        "required": ["status"],
    }
    return _page(summary, "application/json", document)


def _paths() -> dict[str, Any]:
    ready = _probe("Readiness", read=True, write=True)
    ready["get"]["parameters"] = [
        {
            "name": "capability",
            "in": "query",
            "description": "Ask for this alone; may be repeated.",
            "schema": {"type": "array", "items": {"enum": ["read", "write"]}},
        }
    ]
    ready["get"]["responses"]["503"] = ready["get"]["responses"]["200"] | {
        "description": "Something that was asked for cannot be done now.",
        "headers": _COMMON | _NO_STORE | {"Retry-After": _header("Seconds to wait.")},
    }
    ready["get"]["responses"]["404"] = _problem("`not_found`: no such capability")
    metrics = _page("Metrics for Prometheus", "text/plain")
    metrics["get"]["security"] = [{"operator": []}, {}]
    metrics["get"]["responses"] |= {
        "401": _problem("`invalid_token`", WWW_Authenticate="`Bearer`."),
        "404": _problem("`not_found`: they are switched off"),
    }
    return {
        "/api/v1/profile/": {
            "get": _read("readProfile", "Read one's own profile", body=True),
            "head": _read("checkProfile", "As GET, without the body", body=False),
        },
        "/confirm/email/": _page("The page behind the link in the e-mail"),
        "/api/v1/schema/": _page("This document", "application/json", {"type": "object"}),
        "/api/v1/docs/": _page("A page to try the API on"),
        "/metrics": metrics,
        "/livez": _probe("Liveness"),
        "/readyz": ready,
        **_webhooks(),
    }
