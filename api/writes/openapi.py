"""What the OpenAPI document says about the command side."""

from typing import Any

from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    inline_serializer,
)
from rest_framework import serializers

from api.problem_documents import STATUS
from api.writes.serializers import CodeBody, EmailConfirmationBody, SignUpBody

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


class ProfileDocument(serializers.Serializer[Any]):
    """A profile."""

    name = serializers.CharField()
    surname = serializers.CharField()
    email = serializers.CharField()
    phone = serializers.CharField()
    hobbies = serializers.ListField(child=serializers.CharField())
    email_verified = serializers.BooleanField()
    phone_verified = serializers.BooleanField()


class SignedUpDocument(serializers.Serializer[Any]):
    """A new person and their first session."""

    id = serializers.UUIDField()
    profile = ProfileDocument()
    session = inline_serializer(
        "Session",
        {
            "token": serializers.CharField(),
            "token_type": serializers.ChoiceField(choices=["Bearer"]),
            "expires_at": serializers.DateTimeField(),
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
    """`extend_schema` for one POST: its body, its success, and its problems by status."""
    problems = tuple(sorted({400, 413, 415, 500, 503, *problems}))
    always = tuple(success) + problems
    retry = tuple({429, 503} & set(problems))
    parameters = [
        header("X-Request-ID", "Names this request in our logs.", *always),
        header("Cache-Control", "`no-store`.", *always),
        header("Retry-After", "Seconds to wait.", *retry),
        *more.pop("parameters", []),
    ]
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


def _verified(name: str) -> Any:
    return inline_serializer(
        f"{name.title()}Confirmed", {f"{name}_verified": serializers.BooleanField()}
    )


sign_up = described(
    "signUp",
    SignUpBody,
    {201: SignedUpDocument},
    tags=["people"],
    auth=[],
    summary="Sign up",
    parameters=[header("Location", "Where the new profile is read.", 201)],
)
confirm_email = described(
    "confirmEmail",
    EmailConfirmationBody,
    {200: _verified("email")},
    401,
    429,
    tags=["confirmations"],
    auth=[{"bearer": []}, {}],
    summary="Confirm the e-mail address",
)
confirm_phone = described(
    "confirmPhone",
    CodeBody,
    {200: _verified("phone")},
    401,
    429,
    tags=["confirmations"],
    auth=[{"bearer": []}],
    summary="Confirm the phone number",
)
