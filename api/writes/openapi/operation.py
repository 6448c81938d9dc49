"""Describes an operation: its body, responses, problems and headers."""

from typing import Any

from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    inline_serializer,
)
from rest_framework import serializers

from api.problem_details import PROBLEMS

SESSION_TOKEN: list[dict[str, list[str]]] = [{"sessionToken": []}]

# Not a class: `errors` would override a property of serializers.
ProblemDetails = inline_serializer(
    "ProblemDetails",
    {
        "type": serializers.CharField(),
        "title": serializers.CharField(),
        "status": serializers.IntegerField(),
        "detail": serializers.CharField(),
        "code": serializers.ChoiceField(choices=sorted(PROBLEMS)),
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


def response_header(name: str, description: str, *statuses: int) -> OpenApiParameter:
    """Describes a header of the responses with these statuses."""
    return OpenApiParameter(
        name, str, OpenApiParameter.HEADER, description=description, response=list(statuses)
    )


def operation(
    operation_id: str, body: Any, success: dict[int, Any], *problems: int, **options: Any
) -> Any:
    """Returns `extend_schema` for one operation: its body (None for none), its success responses,
    and the statuses of its problems.
    """
    body_problems = () if body is None else (400, 413, 415)
    problems = tuple(sorted({500, 503, *body_problems, *problems}))
    statuses = tuple(success) + problems
    retry_statuses = tuple({429, 503} & set(problems))
    parameters = [
        response_header("X-Request-ID", "Identifies this request in the logs.", *statuses),
        response_header("Cache-Control", "`no-store`.", *statuses),
        response_header("Retry-After", "Seconds to wait.", *retry_statuses),
        *options.pop("parameters", []),
    ]
    if 415 in problems:
        parameters.append(response_header("Accept", "The supported media type.", 415))
    if 401 in problems:
        parameters.append(response_header("WWW-Authenticate", "`Bearer`.", 401))
    responses: dict[Any, Any] = dict(success)
    for status in problems:
        codes = [f"`{code}`" for code, (its_status, _) in PROBLEMS.items() if its_status == status]
        responses[(status, "application/problem+json")] = OpenApiResponse(
            ProblemDetails, description=", ".join(codes)
        )
    return extend_schema(
        operation_id=operation_id,
        request=body,
        responses=responses,
        parameters=parameters,
        **options,
    )
