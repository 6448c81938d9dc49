"""Confirming addresses, asking for another message, and how it stands."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from api.writes.base import WriteView, after_commit, bearer_of, caller_of, rfc3339
from api.writes.json import json_response
from api.writes.openapi import confirmations as told
from api.writes.serializers import CodeBody, EmailConfirmationBody, EmptyBody
from domain.address import Channel
from domain.commands import confirmations, sessions
from domain.commands.confirmations import ConfirmByCode, ConfirmByLink, ResendConfirmation
from domain.errors import InvalidToken
from domain.stores import keys, overview
from domain.stores.unit_of_work import unit_of_work
from workers import queue


class EmailConfirmationView(WriteView):
    """Confirm the e-mail address, by code or by link."""

    @told.confirm_email
    def post(self, request: Request) -> HttpResponse:
        body = EmailConfirmationBody.read(request.data)
        if "token" in body:
            command = ConfirmByLink(body["token"])
            committed = confirmations.confirm_by_link(command, unit_of_work, keys.get_keyring())
            if committed is not None:
                after_commit(committed)
        else:
            _confirm_by_code(request, Channel.EMAIL, body["code"])
        return json_response({"email_verified": True})


class PhoneConfirmationView(WriteView):
    """Confirm the phone number, by code."""

    @told.confirm_phone
    def post(self, request: Request) -> HttpResponse:
        body = CodeBody.read(request.data)
        _confirm_by_code(request, Channel.PHONE, body["code"])
        return json_response({"phone_verified": True})


def _confirm_by_code(request: Request, channel: Channel, code: str) -> None:
    now = datetime.now(UTC)
    person_id = sessions.authenticate(bearer_of(request), unit_of_work, keys.get_keyring(), now)
    command = ConfirmByCode(person_id, channel, code)
    committed = confirmations.confirm_by_code(command, unit_of_work, keys.get_keyring())
    if committed is not None:
        after_commit(committed)


class _ResendView(WriteView):
    channel: Channel

    def _resend(self, request: Request) -> HttpResponse:
        if request.META.get("CONTENT_LENGTH") not in (None, "", "0"):
            EmptyBody.read(request.data)
        command = ResendConfirmation(caller_of(request), self.channel)
        resent = confirmations.resend_confirmation(
            command, unit_of_work, keys.get_keyring(), datetime.now(UTC)
        )
        queue.enqueue(resent.outbox_ids)
        return json_response({"resend_available_at": _moment(resent.available_at)}, status=202)


class EmailResendView(_ResendView):
    """Another e-mail with a new code and link, which end the old ones."""

    channel = Channel.EMAIL

    @told.resend_email
    def post(self, request: Request) -> HttpResponse:
        return self._resend(request)


class PhoneResendView(_ResendView):
    """Another text message with a new code, which ends the old one."""

    channel = Channel.PHONE

    @told.resend_phone
    def post(self, request: Request) -> HttpResponse:
        return self._resend(request)


class ConfirmationsView(WriteView):
    """How the confirmation of each channel stands."""

    @told.overview
    def get(self, request: Request) -> HttpResponse:
        now = datetime.now(UTC)
        person_id = sessions.authenticate(bearer_of(request), unit_of_work, keys.get_keyring(), now)
        states = overview.get_statuses(person_id)
        if states is None:
            raise InvalidToken  # gone since
        return json_response({str(channel): _document(state) for channel, state in states.items()})


def _document(state: overview.ConfirmationStatus) -> dict[str, Any]:
    return asdict(state) | {"resend_available_at": _moment(state.resend_available_at)}


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
