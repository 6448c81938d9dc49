"""Views that confirm addresses, resend messages, and report the confirmation status."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from api.writes.after_commit import project_and_enqueue
from api.writes.base import (
    NoStoreAPIView,
    authenticate,
    format_rfc3339,
    get_network,
    get_token_claims,
    require_empty_body,
)
from api.writes.json_parser import json_response
from api.writes.openapi import OPTIONAL_SESSION_TOKEN, operation
from api.writes.response_serializers import (
    ConfirmationStatusesSerializer,
    EmailConfirmedSerializer,
    PhoneConfirmedSerializer,
    ResendResponseSerializer,
)
from api.writes.serializers import ConfirmEmailSerializer, ConfirmPhoneSerializer
from domain.commands import confirmations
from domain.commands.confirmations import ConfirmByCode
from domain.model.address import Channel
from domain.model.errors import InvalidToken
from domain.postgres import confirmation_status, keyring
from domain.postgres.unit_of_work import unit_of_work
from workers import queue


class EmailConfirmationView(NoStoreAPIView):
    """Confirms the e-mail address, by code or by link."""

    @operation(
        "confirmEmail",
        "Confirm the e-mail address",
        {200: EmailConfirmedSerializer},
        body=ConfirmEmailSerializer,
        security=OPTIONAL_SESSION_TOKEN,
    )
    def post(self, request: Request) -> HttpResponse:
        body = ConfirmEmailSerializer.parse(request.data)
        if "token" in body:
            committed = confirmations.confirm_by_link(
                body["token"], get_network(request), unit_of_work, keyring.get_keyring()
            )
            if committed is not None:
                project_and_enqueue(committed)
        else:
            _confirm_by_code(request, Channel.EMAIL, body["code"])
        return json_response({"email_verified": True})


class PhoneConfirmationView(NoStoreAPIView):
    """Confirms the phone number, by code."""

    @operation(
        "confirmPhone",
        "Confirm the phone number",
        {200: PhoneConfirmedSerializer},
        body=ConfirmPhoneSerializer,
    )
    def post(self, request: Request) -> HttpResponse:
        body = ConfirmPhoneSerializer.parse(request.data)
        _confirm_by_code(request, Channel.PHONE, body["code"])
        return json_response({"phone_verified": True})


def _confirm_by_code(request: Request, channel: Channel, code: str) -> None:
    command = ConfirmByCode(
        authenticate(request),
        channel,
        code,
        session_digest=get_token_claims(request).digest,
        network=get_network(request),
    )
    committed = confirmations.confirm_by_code(command, unit_of_work, keyring.get_keyring())
    if committed is not None:
        project_and_enqueue(committed)


class EmailResendView(NoStoreAPIView):
    """Sends another e-mail; its code and link supersede the old ones."""

    @operation(
        "resendEmailConfirmation",
        "Resend the confirmation e-mail",
        {202: ResendResponseSerializer, 400: None, 413: None, 415: None},
    )
    def post(self, request: Request) -> HttpResponse:
        return _resend(request, Channel.EMAIL)


class PhoneResendView(NoStoreAPIView):
    """Sends another text message; its code supersedes the old one."""

    @operation(
        "resendPhoneConfirmation",
        "Resend the confirmation text message",
        {202: ResendResponseSerializer, 400: None, 413: None, 415: None},
    )
    def post(self, request: Request) -> HttpResponse:
        return _resend(request, Channel.PHONE)


def _resend(request: Request, channel: Channel) -> HttpResponse:
    require_empty_body(request)
    person_id, now = authenticate(request), datetime.now(UTC)
    result = confirmations.resend_confirmation(
        person_id, channel, unit_of_work, keyring.get_keyring(), now, get_network(request)
    )
    if result is None:
        raise InvalidToken  # deleted since
    queue.enqueue(result.outbox_refs)
    return json_response({"resend_available_at": format_rfc3339(result.available_at)}, status=202)


class ConfirmationStatusView(NoStoreAPIView):
    """The confirmation status of each channel."""

    @operation(
        "getConfirmationStatus",
        "Get the confirmation status",
        {200: ConfirmationStatusesSerializer},
    )
    def get(self, request: Request) -> HttpResponse:
        states = confirmation_status.get_statuses(authenticate(request))
        if states is None:
            raise InvalidToken  # deleted since
        return json_response({str(channel): _serialize(state) for channel, state in states.items()})


def _serialize(state: confirmation_status.ConfirmationStatus) -> dict[str, Any]:
    return asdict(state) | {"resend_available_at": format_rfc3339(state.resend_available_at)}
