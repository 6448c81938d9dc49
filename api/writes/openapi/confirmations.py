"""Operations that confirm addresses, resend messages, and report the status."""

from typing import Any

from drf_spectacular.utils import inline_serializer
from rest_framework import serializers

from api.writes.openapi.operation import SESSION_TOKEN, operation
from api.writes.serializers import (
    ConfirmEmailSerializer,
    ConfirmPhoneSerializer,
    EmptySerializer,
    InspectLinkSerializer,
)


class ResendResponseSerializer(serializers.Serializer[Any]):
    """When the next message may be requested; null if no confirmation is pending."""

    resend_available_at = serializers.DateTimeField(allow_null=True)


class ConfirmationLinkSerializer(serializers.Serializer[Any]):
    """The name that signed up with the address, and the state of the link."""

    name = serializers.CharField()
    state = serializers.ChoiceField(choices=["open", "confirmed", "expired"])


class ConfirmationStatusSerializer(serializers.Serializer[Any]):
    """The confirmation status of one channel."""

    status = serializers.ChoiceField(choices=["queued", "sent", "delivered", "failed", "confirmed"])
    resend_available_at = serializers.DateTimeField(allow_null=True)
    attempts_left = serializers.IntegerField(min_value=0)
    pending = serializers.CharField(
        allow_null=True,
        help_text="The masked address that replaces the confirmed one once it is confirmed.",
    )


def _verified(name: str) -> Any:
    return inline_serializer(
        f"{name.title()}Confirmed", {f"{name}_verified": serializers.BooleanField()}
    )


confirm_email = operation(
    "confirmEmail",
    ConfirmEmailSerializer,
    {200: _verified("email")},
    401,
    429,
    tags=["confirmations"],
    auth=[{"sessionToken": []}, {}],
    summary="Confirm the e-mail address",
)
confirm_phone = operation(
    "confirmPhone",
    ConfirmPhoneSerializer,
    {200: _verified("phone")},
    401,
    429,
    tags=["confirmations"],
    auth=SESSION_TOKEN,
    summary="Confirm the phone number",
)


inspect_link = operation(
    "inspectConfirmationLink",
    InspectLinkSerializer,
    {200: ConfirmationLinkSerializer},
    429,
    tags=["pages"],
    auth=[],
    summary="Inspect a confirmation link",
)


def _resend(channel: str, name: str) -> Any:
    return operation(
        f"resend{channel.title()}Confirmation",
        EmptySerializer,
        {202: ResendResponseSerializer},
        401,
        429,
        tags=["confirmations"],
        auth=SESSION_TOKEN,
        summary=f"Resend the {name}",
    )


resend_email_confirmation = _resend("email", "confirmation e-mail")
resend_phone_confirmation = _resend("phone", "confirmation text message")
get_confirmation_status = operation(
    "getConfirmationStatus",
    None,
    {
        200: inline_serializer(
            "ConfirmationStatuses", {c: ConfirmationStatusSerializer() for c in ("email", "phone")}
        )
    },
    401,
    429,
    tags=["confirmations"],
    auth=SESSION_TOKEN,
    summary="Get the confirmation status",
)
