"""Signing in by a one-time code, and signing out."""

from datetime import UTC, datetime

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from api.writes.base import WriteView, after_commit, revoke, session_document
from api.writes.json import json_response, no_content
from api.writes.openapi import sessions as told
from api.writes.serializers import AddressBody, SignInBody
from domain.commands import sessions
from domain.commands.sessions import SignIn
from domain.stores import keys
from domain.stores.unit_of_work import unit_of_work
from workers import queue

# The same for known and unknown addresses.
_ASKED = {"detail": "If this address is confirmed, a code is on its way to it."}


class SessionsView(WriteView):
    """Ask for a code to sign in by, or end all of one's own sessions."""

    @told.ask_to_sign_in
    def post(self, request: Request) -> HttpResponse:
        body = AddressBody.read(request.data)
        address = body["address"]
        queue.enqueue(sessions.request_sign_in_code(address, unit_of_work, keys.get_keyring()))
        return json_response(_ASKED, status=202)

    @told.sign_out_everywhere
    def delete(self, request: Request) -> HttpResponse:
        now = datetime.now(UTC)
        revoke(request, lambda claims: sessions.revoke_all_sessions(claims, unit_of_work, now))
        return no_content()


class SignInView(WriteView):
    """Open a session by a code."""

    @told.sign_in
    def post(self, request: Request) -> HttpResponse:
        body = SignInBody.read(request.data)
        signed_in = sessions.sign_in(
            SignIn(body["address"], body["code"]),
            unit_of_work,
            keys.get_keyring(),
            datetime.now(UTC),
            settings.SESSION_LIFETIME,
        )
        after_commit(signed_in.result)
        answer = {"session": session_document(signed_in.token, signed_in.expires_at)}
        return json_response(answer, status=201, headers={"Location": "/api/v1/profile/"})


class CurrentSessionView(WriteView):
    """The session whose token is sent."""

    @told.sign_out
    def delete(self, request: Request) -> HttpResponse:
        now = datetime.now(UTC)
        revoke(request, lambda claims: sessions.revoke_session(claims, unit_of_work, now))
        return no_content()
