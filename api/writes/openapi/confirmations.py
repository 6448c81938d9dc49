"""Confirming addresses, asking for another message, and how it stands."""

from typing import Any

from drf_spectacular.utils import inline_serializer
from rest_framework import serializers

from api.writes.openapi.call import BEARER, described
from api.writes.serializers import CodeBody, EmailConfirmationBody, EmptyBody, LinkBody


class ResentDocument(serializers.Serializer[Any]):
    """When the next message may be asked for; null if nothing waits to be confirmed."""

    resend_available_at = serializers.DateTimeField(allow_null=True)


class LinkDocument(serializers.Serializer[Any]):
    """Who signed up with the address that a link was sent to, and how that stands."""

    name = serializers.CharField()
    state = serializers.ChoiceField(choices=["open", "confirmed", "expired"])


class OverviewDocument(serializers.Serializer[Any]):
    """How the confirmation of one channel stands."""

    status = serializers.ChoiceField(choices=["queued", "sent", "delivered", "failed", "confirmed"])
    resend_available_at = serializers.DateTimeField(allow_null=True)
    attempts_left = serializers.IntegerField(min_value=0)
    pending = serializers.CharField(
        allow_null=True, help_text="The address, masked, that is to replace a confirmed one."
    )


def _verified(name: str) -> Any:
    return inline_serializer(
        f"{name.title()}Confirmed", {f"{name}_verified": serializers.BooleanField()}
    )


confirm_email = described(
    "confirmEmail",
    EmailConfirmationBody,
    {200: _verified("email")},
    401,
    429,
    tags=["confirmations"],
    auth=[{"bearer": []}, {}],
    summary="Confirm the e-mail address",
)
confirm_phone = described(
    "confirmPhone",
    CodeBody,
    {200: _verified("phone")},
    401,
    429,
    tags=["confirmations"],
    auth=BEARER,
    summary="Confirm the phone number",
)


look_at_link = described(
    "lookAtLink",
    LinkBody,
    {200: LinkDocument},
    429,
    tags=["pages and probes"],
    auth=[],
    summary="What the page behind the link in the e-mail asks before it shows its button",
)


def _resend(channel: str, name: str) -> Any:
    return described(
        f"resend{channel.title()}",
        EmptyBody,
        {202: ResentDocument},
        401,
        429,
        tags=["confirmations"],
        auth=BEARER,
        summary=f"Ask for another {name}",
    )


resend_email = _resend("email", "e-mail")
resend_phone = _resend("phone", "text message")
overview = described(
    "readConfirmations",
    None,
    {200: inline_serializer("Overviews", {c: OverviewDocument() for c in ("email", "phone")})},
    401,
    429,
    tags=["confirmations"],
    auth=BEARER,
    summary="How the confirmations stand",
)
