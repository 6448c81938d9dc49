"""Sign-up, and one's own profile."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from api.writes.openapi.call import BEARER, described, header
from api.writes.openapi.sessions import SessionDocument
from api.writes.serializers import SignUpBody, UpdateBody


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
    session = SessionDocument()


sign_up = described(
    "signUp",
    SignUpBody,
    {201: SignedUpDocument},
    409,
    422,
    429,
    tags=["people"],
    auth=[],
    summary="Sign up",
    parameters=[
        header("Location", "Where the new profile is read.", 201),
        header("Idempotency-Replayed", "`true` if this person had signed up before.", 201),
        OpenApiParameter(
            "Idempotency-Key",
            {"type": "string", "pattern": "^[!-~]{16,255}$"},
            OpenApiParameter.HEADER,
            description="The same key and body again, within 10 minutes, give the same person.",
        ),
    ],
)
update = described(
    "updateProfile",
    UpdateBody,
    {200: ProfileDocument},
    401,
    412,
    429,
    tags=["people"],
    auth=BEARER,
    summary="Change one's own profile",
    parameters=[
        header("ETag", "A strong validator of the new body.", 200),
        OpenApiParameter(
            "If-Match",
            str,
            OpenApiParameter.HEADER,
            description="The ETag that the client has; 412 if it is not the current one.",
        ),
    ],
)
leave = described(
    "leave",
    None,
    {204: None},
    401,
    429,
    tags=["people"],
    auth=BEARER,
    summary="Have everything deleted that is known of oneself",
)
