"""How one call is described: its body, its answers, its problems and its headers."""

from typing import Any

from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    inline_serializer,
)
from rest_framework import serializers

from api.problem_documents import STATUS

BEARER: list[dict[str, list[str]]] = [{"bearer": []}]

# Made by a call, because a serializer has a property of its own that is named `errors`.
ProblemDocument = inline_serializer(
    "ProblemDocument",
    {
        "type": serializers.CharField(),
        "title": serializers.CharField(),
        "status": serializers.IntegerField(),
        "detail": serializers.CharField(),
        "code": serializers.ChoiceField(choices=sorted(STATUS)),
        "request_id": serializers.CharField(),
        "errors": serializers.ListField(
            required=False,
            child=inline_serializer(
                "FieldError",
                {name: serializers.CharField() for name in ("field", "code", "message")},
            ),
        ),
    },
)


def header(name: str, description: str, *statuses: int) -> OpenApiParameter:
    """A response header, on the answers with these statuses."""
    return OpenApiParameter(
        name, str, OpenApiParameter.HEADER, description=description, response=list(statuses)
    )


def described(
    operation_id: str, body: Any, success: dict[int, Any], *problems: int, **more: Any
) -> Any:
    """`extend_schema` for one call: its body (None: it has none), its success, and its problems by
    status.
    """
    of_body = () if body is None else (400, 413, 415)
    problems = tuple(sorted({500, 503, *of_body, *problems}))
    always = tuple(success) + problems
    retry = tuple({429, 503} & set(problems))
    parameters = [
        header("X-Request-ID", "Names this request in our logs.", *always),
        header("Cache-Control", "`no-store`.", *always),
        header("Retry-After", "Seconds to wait.", *retry),
        *more.pop("parameters", []),
    ]
    if 415 in problems:
        parameters.append(header("Accept", "What is understood.", 415))
    if 401 in problems:
        parameters.append(header("WWW-Authenticate", "`Bearer`.", 401))
    responses: dict[Any, Any] = dict(success)
    for status in problems:
        words = ", ".join(f"`{word}`" for word, (its, _) in STATUS.items() if its == status)
        responses[(status, "application/problem+json")] = OpenApiResponse(
            ProblemDocument, description=words
        )
    return extend_schema(
        operation_id=operation_id,
        request=body,
        responses=responses,
        parameters=parameters,
        **more,
    )
