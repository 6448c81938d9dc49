"""Sign-in by a one-time code, the list of sessions, and sign-out."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from api.writes.after_commit import project_and_enqueue
from api.writes.base import (
    NoStoreAPIView,
    format_rfc3339,
    get_network,
    get_session_client,
    get_session_token,
    get_token_claims,
    require_empty_body,
    run_revocation,
    session_response,
)
from api.writes.json_parser import json_response
from api.writes.openapi import PUBLIC, operation, response_header
from api.writes.response_serializers import (
    SessionListSerializer,
    SessionResponseSerializer,
    SignInChallengeSerializer,
)
from api.writes.serializers import SignInCodeSerializer, SignInSerializer
from api.writes.session_cookie import is_by_cookie
from domain.commands import sessions
from domain.commands.ports import StoredSession
from domain.commands.session_refresh import SessionLifetime, refresh_session
from domain.commands.sessions import SignIn
from domain.postgres import keyring
from domain.postgres.unit_of_work import unit_of_work
from workers import queue


class SessionsView(NoStoreAPIView):
    """Requests a sign-in code; lists or revokes all sessions of the caller."""

    @operation(
        "requestSignInCode",
        "Request a sign-in code",
        {202: SignInChallengeSerializer},
        body=SignInCodeSerializer,
        security=PUBLIC,
    )
    def post(self, request: Request) -> HttpResponse:
        body = SignInCodeSerializer.parse(request.data)
        now, network = datetime.now(UTC), get_network(request)
        challenge = sessions.request_sign_in_code(
            body["address"], network, unit_of_work, keyring.get_keyring(), now
        )
        queue.enqueue(challenge.outbox_refs)
        response = {
            "challenge": challenge.token,
            "expires_at": format_rfc3339(challenge.expires_at),
            "resend_available_at": format_rfc3339(challenge.resend_available_at),
        }
        return json_response(response, status=202)

    @operation("listSessions", "List the caller's sessions", {200: SessionListSerializer})
    def get(self, request: Request) -> HttpResponse:
        claims = get_token_claims(request)
        active, current_id = sessions.list_sessions(claims, unit_of_work, datetime.now(UTC))
        return json_response({"sessions": [_serialize(each, current_id) for each in active]})

    @operation("revokeAllSessions", "Revoke all sessions of the caller", {204: None})
    def delete(self, request: Request) -> HttpResponse:
        now = datetime.now(UTC)
        return run_revocation(
            request, lambda claims: sessions.revoke_all_sessions(claims, unit_of_work, now)
        )


def _serialize(session: StoredSession, current_id: UUID) -> dict[str, Any]:
    return {
        "id": str(session.id),
        "created_at": format_rfc3339(session.created_at),
        "expires_at": format_rfc3339(session.expires_at),
        "user_agent": session.client.user_agent,
        "network": session.client.network,
        "current": session.id == current_id,
    }


class SignInView(NoStoreAPIView):
    """Creates a session by a code."""

    @operation(
        "signIn",
        "Sign in with a code",
        {201: SessionResponseSerializer},
        response_header("Location", "The URL of the profile.", 201),
        body=SignInSerializer,
        security=PUBLIC,
    )
    def post(self, request: Request) -> HttpResponse:
        body = SignInSerializer.parse(request.data)
        as_cookie: bool = body.pop("session_cookie")
        command = SignIn(**body, network=get_network(request), client=get_session_client(request))
        now = datetime.now(UTC)
        result = sessions.sign_in(
            command, unit_of_work, keyring.get_keyring(), now, settings.SESSION_LIFETIME
        )
        project_and_enqueue(result.result)
        headers = {"Location": "/api/v1/profile/"}
        return session_response(result, {}, as_cookie=as_cookie, status=201, headers=headers)


class CurrentSessionView(NoStoreAPIView):
    """The session of the token that is sent."""

    @operation("revokeCurrentSession", "Revoke the current session", {204: None})
    def delete(self, request: Request) -> HttpResponse:
        return _revoke(request)


class RefreshSessionView(NoStoreAPIView):
    """Replaces the token of the session."""

    @operation(
        "refreshSession",
        "Replace the session's token by one with a new lifetime",
        {200: SessionResponseSerializer, 400: None, 413: None, 415: None},
    )
    def post(self, request: Request) -> HttpResponse:
        """The old token is accepted for 30 seconds more. Repeating the request with it within that
        time returns the same new token.
        """
        require_empty_body(request)
        lifetime = SessionLifetime(settings.SESSION_LIFETIME, settings.SESSION_MAX_LIFETIME)
        result = refresh_session(
            get_session_token(request),
            unit_of_work,
            keyring.get_keyring(),
            datetime.now(UTC),
            lifetime,
            get_session_client(request),
        )
        project_and_enqueue(result.result)
        return session_response(result, {}, as_cookie=is_by_cookie(request))


class SessionView(NoStoreAPIView):
    """A session of the caller, by its id."""

    @operation("revokeSession", "Revoke a session", {204: None, 404: None})
    def delete(self, request: Request, session_id: UUID) -> HttpResponse:
        return _revoke(request, session_id)


def _revoke(request: Request, session_id: UUID | None = None) -> HttpResponse:
    now = datetime.now(UTC)
    return run_revocation(
        request, lambda claims: sessions.revoke_session(claims, unit_of_work, now, session_id)
    )
