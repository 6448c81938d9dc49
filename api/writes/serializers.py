"""Request bodies: their fields, of which every invalid one is reported."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from rest_framework import serializers
from rest_framework.fields import empty

from api.writes.fields import (
    ChallengeField,
    CodeField,
    EmailField,
    FlagField,
    HobbiesField,
    LinkTokenField,
    LocaleField,
    NameField,
    PhoneField,
)
from domain.model.errors import InvalidField, RollcallError

_COOKIE_HELP = "Whether the response sets the session's token as a cookie, and does not show it."


class ValidationFailed(RollcallError):
    """An invalid body or header; `errors` has every wrong field with what is wrong."""

    code = "validation_failed"

    def __init__(self, errors: dict[str, InvalidField]) -> None:
        super().__init__()
        self.errors = errors


class StrictSerializer(serializers.Serializer[Any]):
    """A JSON object in which each unknown field is an error.

    DRF's own validation costs three times as much, for features that no field here uses.
    """

    exactly_one_of: tuple[str, ...] = ()  # names of two fields of which exactly one must be sent

    @classmethod
    def parse(
        cls, data: Any, other_errors: Mapping[str, InvalidField] | None = None
    ) -> dict[str, Any]:
        """Returns the parsed values and defaults by field. Raises `ValidationFailed`, which reports
        `other_errors` too: those of headers, by their names.
        """
        fields, values, errors = _get_fields(cls), {}, dict(other_errors or {})
        for name, field in fields.items():
            try:
                if name in data:
                    values[name] = _parse_field(field, data[name])
                elif field.required:
                    errors[name] = InvalidField("required", "This field is required.")
                elif field.default is not empty:
                    values[name] = field.default
            except InvalidField as error:
                errors[name] = error
        for name in data:
            if name not in fields:
                errors[name] = InvalidField("unknown_field", "Unknown field.")
        if cls.exactly_one_of and sum(name in data for name in cls.exactly_one_of) != 1:
            errors.setdefault(cls.exactly_one_of[0], _neither_or_both(*cls.exactly_one_of))
        if errors:
            raise ValidationFailed(errors)
        return values


@cache
def _get_fields(serializer_class: type[StrictSerializer]) -> dict[str, Any]:
    """Returns the fields by name, bound to one instance for the process: parsing changes none."""
    return dict(serializer_class().fields)


def _neither_or_both(first: str, second: str) -> InvalidField:
    return InvalidField(
        "exactly_one_of", "Send either {first} or {second}.", first=first, second=second
    )


def _parse_field(field: Any, data: Any) -> Any:
    if data is None:
        raise InvalidField("null", "This field may not be null.")
    return field.to_internal_value(data)


class SignUpSerializer(StrictSerializer):
    """A new person."""

    name = NameField()
    surname = NameField()
    email = EmailField()
    phone = PhoneField()
    hobbies = HobbiesField(required=False, default=())
    locale = LocaleField(required=False)
    session_cookie = FlagField(required=False, default=False, help_text=_COOKIE_HELP)


class UpdateProfileSerializer(StrictSerializer):
    """The fields to change; those left out stay."""

    name = NameField(required=False)
    surname = NameField(required=False)
    email = EmailField(required=False)
    phone = PhoneField(required=False)
    hobbies = HobbiesField(required=False)
    locale = LocaleField(required=False)


class SignInCodeSerializer(StrictSerializer):
    """A confirmed address to sign in with: either the e-mail address or the phone number."""

    email = EmailField(required=False)
    phone = PhoneField(required=False)
    exactly_one_of = ("email", "phone")

    @classmethod
    def parse(
        cls, data: Any, other_errors: Mapping[str, InvalidField] | None = None
    ) -> dict[str, Any]:
        """Returns the values, with the given one of both addresses also as `address`."""
        values = super().parse(data, other_errors)
        return values | {"address": values.get("email") or values["phone"]}


class EmptySerializer(StrictSerializer):
    """No body, or an empty object."""


class ConfirmPhoneSerializer(StrictSerializer):
    """The code from a message."""

    code = CodeField()


class SignInSerializer(StrictSerializer):
    """The challenge, and the code that was sent to its address."""

    challenge = ChallengeField()
    code = CodeField()
    session_cookie = FlagField(required=False, default=False, help_text=_COOKIE_HELP)


class InspectLinkSerializer(StrictSerializer):
    """The token of a confirmation link."""

    token = LinkTokenField()


class ConfirmEmailSerializer(StrictSerializer):
    """The code from the e-mail (with a Bearer token), or the token from its link (without)."""

    code = CodeField(required=False)
    token = LinkTokenField(required=False)
    exactly_one_of = ("code", "token")
