"""Operations on accounts and profiles."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from api.writes.openapi.operation import SESSION_TOKEN, operation, response_header
from api.writes.openapi.sessions import SessionSerializer
from api.writes.serializers import SignUpSerializer, UpdateProfileSerializer


class ProfileSerializer(serializers.Serializer[Any]):
    """A profile."""

    name = serializers.CharField()
    surname = serializers.CharField()
    email = serializers.CharField()
    phone = serializers.CharField()
    hobbies = serializers.ListField(child=serializers.CharField())
    email_verified = serializers.BooleanField()
    phone_verified = serializers.BooleanField()


class SignUpResponseSerializer(serializers.Serializer[Any]):
    """A new person and their first session."""

    id = serializers.UUIDField()
    profile = ProfileSerializer()
    session = SessionSerializer()


sign_up = operation(
    "signUp",
    SignUpSerializer,
    {201: SignUpResponseSerializer},
    409,
    422,
    429,
    tags=["people"],
    auth=[],
    summary="Sign up",
    parameters=[
        response_header("Location", "The URL of the new profile.", 201),
        response_header(
            "Idempotency-Replayed", "`true` if this is the response to a repeated request.", 201
        ),
        OpenApiParameter(
            "Idempotency-Key",
            {"type": "string", "pattern": "^[!-~]{16,255}$"},
            OpenApiParameter.HEADER,
            description="Repeating the key and body within 10 minutes returns the same person.",
        ),
    ],
)
update_profile = operation(
    "updateProfile",
    UpdateProfileSerializer,
    {200: ProfileSerializer},
    401,
    412,
    429,
    tags=["people"],
    auth=SESSION_TOKEN,
    summary="Update the caller's profile",
    parameters=[
        response_header("ETag", "A strong validator of the new body.", 200),
        OpenApiParameter(
            "If-Match",
            str,
            OpenApiParameter.HEADER,
            description="ETags that the client has; 412 if none is the current one.",
        ),
    ],
)
delete_profile = operation(
    "deleteProfile",
    None,
    {204: None},
    401,
    429,
    tags=["people"],
    auth=SESSION_TOKEN,
    summary="Delete the caller's account",
)
