"""Sign-up and confirmations."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.bearer import bearer_token
from api.writes import openapi
from api.writes.serializers import CodeBody, EmailConfirmationBody, SignUpBody
from domain import commands, profile
from domain.address import Channel
from domain.commands import Committed, ConfirmByCode, ConfirmByLink, SignUp
from domain.errors import Unavailable
from domain.stores import keys, profiles
from domain.stores.unit_of_work import unit_of_work
from workers import queue


def after_commit(committed: Committed) -> None:
    """Write the profile, so that the client reads its own write, and wake the workers.

    Both are best effort: the outbox rows stay open until a worker has seen to them.
    """
    # What fails here was logged where it happened, and the outbox row makes good for it.
    with suppress(Unavailable):
        profiles.publish(committed.person)
    queue.wake(committed.outbox_ids)


class WriteView(APIView):
    """A view whose answers are for one person, once."""

    http_method_names = ["post"]

    def finalize_response(self, request: Request, response: Any, *args: Any, **kw: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kw)
        response["Cache-Control"] = "no-store"
        return response


class SignUpView(WriteView):
    """Sign-up."""

    @openapi.sign_up
    def post(self, request: Request) -> Response:
        body = SignUpBody(data=request.data)
        body.is_valid(raise_exception=True)
        signed_up = commands.sign_up(
            SignUp(**body.validated_data),
            unit_of_work,
            keys.ring(),
            datetime.now(UTC),
            settings.SESSION_LIFETIME,
        )
        person = signed_up.committed.person
        after_commit(signed_up.committed)
        answer = {
            "id": str(person.id),
            "profile": profile.fields_for_clients(person),
            "session": {
                "token": signed_up.token,
                "token_type": "Bearer",
                "expires_at": signed_up.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
        }
        return Response(answer, status=201, headers={"Location": "/api/v1/profile/"})


class EmailConfirmationView(WriteView):
    """Confirm the e-mail address, by code or by link."""

    @openapi.confirm_email
    def post(self, request: Request) -> Response:
        body = EmailConfirmationBody(data=request.data)
        body.is_valid(raise_exception=True)
        if "token" in body.validated_data:
            command = ConfirmByLink(body.validated_data["token"])
            committed = commands.confirm_by_link(command, unit_of_work, keys.ring())
            if committed is not None:
                after_commit(committed)
        else:
            _confirm_by_code(request, Channel.EMAIL, body.validated_data["code"])
        return Response({"email_verified": True})


class PhoneConfirmationView(WriteView):
    """Confirm the phone number, by code."""

    @openapi.confirm_phone
    def post(self, request: Request) -> Response:
        body = CodeBody(data=request.data)
        body.is_valid(raise_exception=True)
        _confirm_by_code(request, Channel.PHONE, body.validated_data["code"])
        return Response({"phone_verified": True})


def _confirm_by_code(request: Request, channel: Channel, code: str) -> None:
    ring = keys.ring()
    token = bearer_token(request.META.get("HTTP_AUTHORIZATION", ""))
    person_id = commands.authenticate(token, unit_of_work, ring, datetime.now(UTC))
    command = ConfirmByCode(person_id, channel, code)
    committed = commands.confirm_by_code(command, unit_of_work, ring)
    if committed is not None:
        after_commit(committed)
