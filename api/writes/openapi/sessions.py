"""Operations that sign in and out."""

from typing import Any

from drf_spectacular.utils import inline_serializer
from rest_framework import serializers

from api.writes.openapi.operation import SESSION_TOKEN, operation, response_header
from api.writes.serializers import SignInCodeSerializer, SignInSerializer


class SessionSerializer(serializers.Serializer[Any]):
    """A new session."""

    token = serializers.CharField()
    token_type = serializers.ChoiceField(choices=["Bearer"])
    expires_at = serializers.DateTimeField()


request_sign_in_code = operation(
    "requestSignInCode",
    SignInCodeSerializer,
    {202: inline_serializer("SignInChallenge", {"detail": serializers.CharField()})},
    429,
    tags=["sessions"],
    auth=[],
    summary="Request a sign-in code",
)
sign_in = operation(
    "signIn",
    SignInSerializer,
    {201: inline_serializer("SignInResponse", {"session": SessionSerializer()})},
    429,
    tags=["sessions"],
    auth=[],
    summary="Sign in with a code",
    parameters=[response_header("Location", "The URL of the profile.", 201)],
)
revoke_current_session = operation(
    "revokeCurrentSession",
    None,
    {204: None},
    401,
    429,
    tags=["sessions"],
    auth=SESSION_TOKEN,
    summary="Revoke the current session",
)
revoke_all_sessions = operation(
    "revokeAllSessions",
    None,
    {204: None},
    401,
    429,
    tags=["sessions"],
    auth=SESSION_TOKEN,
    summary="Revoke all sessions of the caller",
)
