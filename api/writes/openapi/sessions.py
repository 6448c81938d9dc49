"""Signing in and out."""

from typing import Any

from drf_spectacular.utils import inline_serializer
from rest_framework import serializers

from api.writes.openapi.call import BEARER, described, header
from api.writes.serializers import AddressBody, SignInBody


class SessionDocument(serializers.Serializer[Any]):
    """A session that was opened."""

    token = serializers.CharField()
    token_type = serializers.ChoiceField(choices=["Bearer"])
    expires_at = serializers.DateTimeField()


ask_to_sign_in = described(
    "askToSignIn",
    AddressBody,
    {202: inline_serializer("Asked", {"detail": serializers.CharField()})},
    429,
    tags=["sessions"],
    auth=[],
    summary="Ask for a code to sign in by",
)
sign_in = described(
    "signIn",
    SignInBody,
    {201: inline_serializer("SignedIn", {"session": SessionDocument()})},
    429,
    tags=["sessions"],
    auth=[],
    summary="Sign in by a code",
    parameters=[header("Location", "Where the profile is read.", 201)],
)
sign_out = described(
    "signOut",
    None,
    {204: None},
    401,
    429,
    tags=["sessions"],
    auth=BEARER,
    summary="End this session",
)
sign_out_everywhere = described(
    "signOutEverywhere",
    None,
    {204: None},
    401,
    429,
    tags=["sessions"],
    auth=BEARER,
    summary="End all of one's own sessions",
)
