"""Request bodies: each field is parsed by the domain's parser, and every error is reported."""

from collections.abc import Callable
from functools import cache
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.fields import empty

from domain.model.address import Address, parse_email, parse_phone
from domain.model.errors import InvalidField
from domain.model.one_time_code import CODE_LENGTH
from domain.model.person import (
    HOBBY_MAX_LENGTH,
    MAX_HOBBIES,
    NAME_MAX_LENGTH,
    parse_hobbies,
    parse_name,
)
from domain.postgres import sms_quotas


class StrictSerializer(serializers.Serializer[Any]):
    """A JSON object; each unknown field is an error.

    DRF's own validation costs three times as much, for features that no field here uses.
    """

    @classmethod
    def parse(cls, data: Any) -> dict[str, Any]:
        """Returns the parsed values by field. Raises `ValidationError` with all errors."""
        fields, values, errors = _fields(cls), {}, {}
        for name, field in fields.items():
            try:
                value = _parse_field(field, data.get(name, empty))
            except ValidationError as error:
                errors[name] = error.detail
            else:
                if value is not empty:
                    values[name] = value
        for name in data:
            if name not in fields:
                errors[name] = [ErrorDetail("Unknown field.", code="unknown_field")]
        if errors:
            raise ValidationError(errors)
        return cls.check_together(values)

    @staticmethod
    def check_together(values: dict[str, Any]) -> dict[str, Any]:
        """Returns the values if they may be combined. Raises `ValidationError`."""
        return values


@cache
def _fields(serializer_class: type[StrictSerializer]) -> dict[str, Any]:
    """Returns the fields by name, bound to one instance for the process: parsing changes none."""
    return dict(serializer_class().fields)


def _parse_field(field: Any, data: Any) -> Any:
    """Returns a field's value; its default, or `empty`, if absent. Raises `ValidationError`."""
    if data is empty:
        if field.required:
            field.fail("required")
        return field.default
    if data is None:
        field.fail("null")
    return field.to_internal_value(data)


class ParsedField(serializers.Field[Any, Any, Any, Any]):
    """A string, parsed by one of the domain's parsers."""

    default_error_messages = {"not_a_string": "Send a string."}

    def parse(self, text: str) -> Any:
        """Returns the value of `text`. Raises `InvalidField`."""
        raise NotImplementedError

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("not_a_string")
        return run_parser(self.parse, data)

    def to_representation(self, value: Any) -> Any:
        return value


def run_parser(parse: Callable[[Any], Any], data: Any) -> Any:
    """Returns `parse(data)`. Raises `ValidationError` in place of `InvalidField`."""
    try:
        return parse(data)
    except InvalidField as error:
        raise ValidationError(error.error.message, code=error.error.code) from None


@extend_schema_field({"type": "string", "minLength": 1, "maxLength": NAME_MAX_LENGTH})
class NameField(ParsedField):
    """A name or surname."""

    def parse(self, text: str) -> str:
        return parse_name(text)


@extend_schema_field({"type": "string", "format": "email", "maxLength": 254})
class EmailField(ParsedField):
    """An e-mail address."""

    def parse(self, text: str) -> Address:
        return parse_email(text)


@extend_schema_field({"type": "string", "description": "With + and country code; kept as E.164."})
class PhoneField(ParsedField):
    """A phone number."""

    def parse(self, text: str) -> Address:
        address = parse_phone(text, settings.DEFAULT_PHONE_REGION)
        if not sms_quotas.is_country_allowed(address.value):
            raise InvalidField(
                "country_not_supported", "Text messages to that country are not supported."
            )
        return address


@extend_schema_field(
    {
        "oneOf": [
            {
                "type": "array",
                "maxItems": MAX_HOBBIES,
                "items": {"type": "string", "maxLength": HOBBY_MAX_LENGTH},
            },
            {"type": "string", "description": "One hobby a line."},
        ]
    }
)
class HobbiesField(serializers.Field[Any, Any, Any, Any]):
    """A list of hobbies, or one newline-separated string."""

    default_error_messages = {
        "not_a_list": "Send a list of strings, or one string with a hobby a line."
    }

    def to_internal_value(self, data: Any) -> tuple[str, ...]:
        if not isinstance(data, str) and not (
            isinstance(data, list) and all(isinstance(item, str) for item in data)
        ):
            self.fail("not_a_list")
        hobbies: tuple[str, ...] = run_parser(parse_hobbies, data)
        return hobbies

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field(
    {
        "type": "string",
        "pattern": rf"^\s*([0-9]\s*){{{CODE_LENGTH}}}$",
        "description": f"{CODE_LENGTH} digits; spaces are ignored.",
    }
)
class CodeField(ParsedField):
    """A one-time code as typed."""

    def parse(self, text: str) -> str:
        digits = "".join(text.split())
        if not (digits.isascii() and digits.isdigit() and len(digits) == CODE_LENGTH):
            raise InvalidField("invalid", f"A code has {CODE_LENGTH} digits.")
        return digits


@extend_schema_field({"type": "string", "pattern": "^[A-Za-z0-9_-]{1,200}$"})
class LinkTokenField(ParsedField):
    """The token of a confirmation link."""

    def parse(self, text: str) -> str:
        if not text.isascii() or not text or len(text) > 200:
            raise InvalidField("invalid", "Not a link token.")
        return text


class SignUpSerializer(StrictSerializer):
    """A new person."""

    name = NameField()
    surname = NameField()
    email = EmailField()
    phone = PhoneField()
    hobbies = HobbiesField(required=False, default=())


class UpdateProfileSerializer(StrictSerializer):
    """The fields to change; those left out stay."""

    name = NameField(required=False)
    surname = NameField(required=False)
    email = EmailField(required=False)
    phone = PhoneField(required=False)
    hobbies = HobbiesField(required=False)


class SignInCodeSerializer(StrictSerializer):
    """A confirmed address to sign in with: either the e-mail address or the phone number."""

    email = EmailField(required=False)
    phone = PhoneField(required=False)

    @staticmethod
    def check_together(values: dict[str, Any]) -> dict[str, Any]:
        addresses = [values[name] for name in ("email", "phone") if name in values]
        if len(addresses) != 1:
            raise ValidationError(
                {"email": [ErrorDetail("Send either email or phone.", code="exactly_one_of")]}
            )
        return values | {"address": addresses[0]}


class EmptySerializer(StrictSerializer):
    """No body, or an empty object."""


class ConfirmPhoneSerializer(StrictSerializer):
    """The code from a message."""

    code = CodeField()


class SignInSerializer(SignInCodeSerializer):
    """The address, and the code that was sent there."""

    code = CodeField()


class InspectLinkSerializer(StrictSerializer):
    """The token of a confirmation link."""

    token = LinkTokenField()


class ConfirmEmailSerializer(StrictSerializer):
    """The code from the e-mail (with a Bearer token), or the token from its link (without)."""

    code = CodeField(required=False)
    token = LinkTokenField(required=False)

    @staticmethod
    def check_together(values: dict[str, Any]) -> dict[str, Any]:
        if len(values) != 1:
            raise ValidationError(
                {"code": [ErrorDetail("Send either code or token.", code="exactly_one_of")]}
            )
        return values
