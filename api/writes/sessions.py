"""Sign-in by a one-time code, and sign-out."""

from datetime import UTC, datetime

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from api.writes.after_commit import project_and_enqueue
from api.writes.base import NoStoreAPIView, run_revocation, serialize_session
from api.writes.json_parser import json_response, no_content
from api.writes.openapi import PUBLIC, operation, response_header
from api.writes.response_serializers import SignInChallengeSerializer, SignInResponseSerializer
from api.writes.serializers import SignInCodeSerializer, SignInSerializer
from domain.commands import sessions
from domain.postgres import keyring
from domain.postgres.unit_of_work import unit_of_work
from workers import queue

# The same for known and unknown addresses.
_CODE_REQUESTED = {"detail": "If this address is confirmed, a code has been sent to it."}


class SessionsView(NoStoreAPIView):
    """Requests a sign-in code, or revokes all sessions of the caller."""

    @operation(
        "requestSignInCode",
        "Request a sign-in code",
        {202: SignInChallengeSerializer},
        body=SignInCodeSerializer,
        security=PUBLIC,
    )
    def post(self, request: Request) -> HttpResponse:
        body = SignInCodeSerializer.parse(request.data)
        address = body["address"]
        queue.enqueue(sessions.request_sign_in_code(address, unit_of_work, keyring.get_keyring()))
        return json_response(_CODE_REQUESTED, status=202)

    @operation("revokeAllSessions", "Revoke all sessions of the caller", {204: None})
    def delete(self, request: Request) -> HttpResponse:
        now = datetime.now(UTC)
        run_revocation(
            request, lambda claims: sessions.revoke_all_sessions(claims, unit_of_work, now)
        )
        return no_content()


class SignInView(NoStoreAPIView):
    """Creates a session by a code."""

    @operation(
        "signIn",
        "Sign in with a code",
        {201: SignInResponseSerializer},
        response_header("Location", "The URL of the profile.", 201),
        body=SignInSerializer,
        security=PUBLIC,
    )
    def post(self, request: Request) -> HttpResponse:
        body = SignInSerializer.parse(request.data)
        result = sessions.sign_in(
            body["address"],
            body["code"],
            unit_of_work,
            keyring.get_keyring(),
            datetime.now(UTC),
            settings.SESSION_LIFETIME,
        )
        project_and_enqueue(result.result)
        response = {"session": serialize_session(result.token, result.expires_at)}
        return json_response(response, status=201, headers={"Location": "/api/v1/profile/"})


class CurrentSessionView(NoStoreAPIView):
    """The session of the token that is sent."""

    @operation("revokeCurrentSession", "Revoke the current session", {204: None})
    def delete(self, request: Request) -> HttpResponse:
        now = datetime.now(UTC)
        run_revocation(request, lambda claims: sessions.revoke_session(claims, unit_of_work, now))
        return no_content()
