"""Response bodies, for the OpenAPI document alone: views build plain dicts."""

from typing import Any

from drf_spectacular.utils import inline_serializer
from rest_framework import serializers


class ProfileSerializer(serializers.Serializer[Any]):
    """A profile."""

    name = serializers.CharField()
    surname = serializers.CharField()
    email = serializers.CharField()
    phone = serializers.CharField()
    hobbies = serializers.ListField(child=serializers.CharField())
    email_verified = serializers.BooleanField()
    phone_verified = serializers.BooleanField()


class SessionSerializer(serializers.Serializer[Any]):
    """A new session."""

    token = serializers.CharField(required=False, help_text="Absent if it is set as a cookie.")
    token_type = serializers.ChoiceField(choices=["Bearer", "Cookie"])
    expires_at = serializers.DateTimeField()


class SignUpResponseSerializer(serializers.Serializer[Any]):
    """A new person and their first session."""

    id = serializers.UUIDField()
    profile = ProfileSerializer()
    session = SessionSerializer()


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


class SignInChallengeSerializer(serializers.Serializer[Any]):
    """A sign-in challenge, the same for known and unknown addresses."""

    challenge = serializers.CharField(help_text="To be sent back with the code.")
    expires_at = serializers.DateTimeField(help_text="Until then its code can be entered.")
    resend_available_at = serializers.DateTimeField(
        help_text="When another challenge for this address gets a message from this network."
    )


class ListedSessionSerializer(serializers.Serializer[Any]):
    """An active session."""

    id = serializers.UUIDField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    user_agent = serializers.CharField(
        help_text='Browser and system, such as "Firefox on Linux"; empty if unknown.'
    )
    network = serializers.CharField(
        help_text="The IPv4 /24 or IPv6 /48 of the sign-in or last refresh; empty if unknown."
    )
    current = serializers.BooleanField(help_text="Whether it is that of the token sent.")


class ExportedRowSerializer(serializers.Serializer[Any]):
    """A row of an export; which fields it has depends on its list."""

    id = serializers.UUIDField(required=False)
    channel = serializers.CharField(required=False)
    address = serializers.CharField(required=False)
    kind = serializers.CharField(required=False)
    attempts = serializers.IntegerField(required=False)
    created_at = serializers.DateTimeField(required=False)
    expires_at = serializers.DateTimeField(required=False)
    user_agent = serializers.CharField(required=False)
    network = serializers.CharField(required=False)
    confirmed_at = serializers.DateTimeField(required=False, allow_null=True)
    last_used_at = serializers.DateTimeField(required=False)


class ExportSerializer(serializers.Serializer[Any]):
    """All data that is kept about a person."""

    id = serializers.UUIDField()
    profile = ProfileSerializer()
    created_at = serializers.DateTimeField()
    email_verified_at = serializers.DateTimeField(allow_null=True)
    phone_verified_at = serializers.DateTimeField(allow_null=True)
    locale = serializers.CharField(allow_null=True, help_text="Null: the default language.")
    sessions = ExportedRowSerializer(many=True)
    confirmations = ExportedRowSerializer(many=True)
    sign_ins = ExportedRowSerializer(many=True)
    known_networks = ExportedRowSerializer(many=True)
    idempotency_keys = ExportedRowSerializer(many=True)
    events = ExportedRowSerializer(many=True)
    messages = ExportedRowSerializer(many=True)


def _inline(name: str, **fields: Any) -> Any:
    return inline_serializer(name, fields)


ConfirmationStatusesSerializer = _inline(
    "ConfirmationStatuses",
    email=ConfirmationStatusSerializer(),
    phone=ConfirmationStatusSerializer(),
)
EmailConfirmedSerializer = _inline("EmailConfirmed", email_verified=serializers.BooleanField())
PhoneConfirmedSerializer = _inline("PhoneConfirmed", phone_verified=serializers.BooleanField())
SessionListSerializer = _inline("SessionList", sessions=ListedSessionSerializer(many=True))
SessionResponseSerializer = _inline("SessionResponse", session=SessionSerializer())
LivenessSerializer = _inline("Liveness", status=serializers.CharField())
ReadinessSerializer = _inline(
    "Readiness",
    status=serializers.CharField(),
    read=serializers.CharField(required=False),
    write=serializers.CharField(required=False),
)
