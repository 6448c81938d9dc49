"""Views that confirm addresses, resend messages, and report the confirmation status."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from api.writes.base import (
    NoStoreAPIView,
    format_rfc3339,
    get_bearer_token,
    get_token_claims,
    project_and_enqueue,
)
from api.writes.json_parser import json_response
from api.writes.openapi import confirmations as openapi
from api.writes.serializers import ConfirmEmailSerializer, ConfirmPhoneSerializer, EmptySerializer
from domain.commands import confirmations, sessions
from domain.commands.confirmations import ConfirmByCode, ConfirmByLink, ResendConfirmation
from domain.model.address import Channel
from domain.model.errors import InvalidToken
from domain.postgres import confirmation_status, keyring
from domain.postgres.unit_of_work import unit_of_work
from workers import queue


class EmailConfirmationView(NoStoreAPIView):
    """Confirms the e-mail address, by code or by link."""

    @openapi.confirm_email
    def post(self, request: Request) -> HttpResponse:
        body = ConfirmEmailSerializer.parse(request.data)
        if "token" in body:
            command = ConfirmByLink(body["token"])
            committed = confirmations.confirm_by_link(command, unit_of_work, keyring.get_keyring())
            if committed is not None:
                project_and_enqueue(committed)
        else:
            _confirm_by_code(request, Channel.EMAIL, body["code"])
        return json_response({"email_verified": True})


class PhoneConfirmationView(NoStoreAPIView):
    """Confirms the phone number, by code."""

    @openapi.confirm_phone
    def post(self, request: Request) -> HttpResponse:
        body = ConfirmPhoneSerializer.parse(request.data)
        _confirm_by_code(request, Channel.PHONE, body["code"])
        return json_response({"phone_verified": True})


def _confirm_by_code(request: Request, channel: Channel, code: str) -> None:
    now = datetime.now(UTC)
    person_id = sessions.authenticate(
        get_bearer_token(request), unit_of_work, keyring.get_keyring(), now
    )
    command = ConfirmByCode(person_id, channel, code)
    committed = confirmations.confirm_by_code(command, unit_of_work, keyring.get_keyring())
    if committed is not None:
        project_and_enqueue(committed)


class _ResendView(NoStoreAPIView):
    channel: Channel

    def _resend(self, request: Request) -> HttpResponse:
        if request.META.get("CONTENT_LENGTH") not in (None, "", "0"):
            EmptySerializer.parse(request.data)
        command = ResendConfirmation(get_token_claims(request), self.channel)
        result = confirmations.resend_confirmation(
            command, unit_of_work, keyring.get_keyring(), datetime.now(UTC)
        )
        queue.enqueue(result.outbox_ids)
        return json_response({"resend_available_at": _format_time(result.available_at)}, status=202)


class EmailResendView(_ResendView):
    """Sends another e-mail; its code and link supersede the old ones."""

    channel = Channel.EMAIL

    @openapi.resend_email_confirmation
    def post(self, request: Request) -> HttpResponse:
        return self._resend(request)


class PhoneResendView(_ResendView):
    """Sends another text message; its code supersedes the old one."""

    channel = Channel.PHONE

    @openapi.resend_phone_confirmation
    def post(self, request: Request) -> HttpResponse:
        return self._resend(request)


class ConfirmationStatusView(NoStoreAPIView):
    """The confirmation status of each channel."""

    @openapi.get_confirmation_status
    def get(self, request: Request) -> HttpResponse:
        now = datetime.now(UTC)
        person_id = sessions.authenticate(
            get_bearer_token(request), unit_of_work, keyring.get_keyring(), now
        )
        states = confirmation_status.get_statuses(person_id)
        if states is None:
            raise InvalidToken  # deleted meanwhile
        return json_response({str(channel): _serialize(state) for channel, state in states.items()})


def _serialize(state: confirmation_status.ConfirmationStatus) -> dict[str, Any]:
    return asdict(state) | {"resend_available_at": _format_time(state.resend_available_at)}


def _format_time(time: datetime | None) -> str | None:
    return None if time is None else format_rfc3339(time)
