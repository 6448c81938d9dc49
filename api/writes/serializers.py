"""What clients may send: each field is read by the domain's own parser, and all are read."""

from collections.abc import Callable
from functools import cache
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.fields import empty

from domain.address import Address, parse_email, parse_phone
from domain.code import CODE_LENGTH
from domain.errors import InvalidField
from domain.person import HOBBY_MAX_LENGTH, MAX_HOBBIES, NAME_MAX_LENGTH, parse_hobbies, parse_name
from domain.stores import sms


class Body(serializers.Serializer[Any]):
    """A JSON object whose unknown fields are refused by name.

    DRF's own way of reading one costs three times as much, for what no field here makes use of.
    """

    @classmethod
    def read(cls, data: Any) -> dict[str, Any]:
        """What `data` means, by field. Raises `ValidationError`, which names every wrong field."""
        fields, values, errors = _fields(cls), {}, {}
        for name, field in fields.items():
            try:
                value = _value(field, data.get(name, empty))
            except ValidationError as error:
                errors[name] = error.detail
            else:
                if value is not empty:
                    values[name] = value
        for name in data:
            if name not in fields:
                errors[name] = [ErrorDetail("There is no such field.", code="unknown_field")]
        if errors:
            raise ValidationError(errors)
        return cls.together(values)

    @staticmethod
    def together(values: dict[str, Any]) -> dict[str, Any]:
        """The values, once it is clear that they go together. Raises `ValidationError`."""
        return values


@cache
def _fields(kind: type[Body]) -> dict[str, Any]:
    """The fields of a body by name, bound to one for the process: reading changes none of them."""
    return dict(kind().fields)


def _value(field: Any, data: Any) -> Any:
    """What a field means; its default, or `empty`, if it was not sent. Raises `ValidationError`."""
    if data is empty:
        if field.required:
            field.fail("required")
        return field.default
    if data is None:
        field.fail("null")
    return field.to_internal_value(data)


class Parsed(serializers.Field[Any, Any, Any, Any]):
    """A field of text, read by one of the domain's parsers."""

    default_error_messages = {"not_a_string": "Send text, in quotes."}

    def parse(self, text: str) -> Any:
        """What `text` means. Raises `InvalidField`."""
        raise NotImplementedError

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("not_a_string")
        return parsed(self.parse, data)

    def to_representation(self, value: Any) -> Any:
        return value


def parsed(parse: Callable[[Any], Any], data: Any) -> Any:
    """`parse(data)`, its complaint in DRF's words. Raises `ValidationError`."""
    try:
        return parse(data)
    except InvalidField as error:
        raise ValidationError(error.error.message, code=error.error.code) from None


@extend_schema_field({"type": "string", "minLength": 1, "maxLength": NAME_MAX_LENGTH})
class Name(Parsed):
    """A name or surname."""

    def parse(self, text: str) -> str:
        return parse_name(text)


@extend_schema_field({"type": "string", "format": "email", "maxLength": 254})
class Email(Parsed):
    """An e-mail address."""

    def parse(self, text: str) -> Address:
        return parse_email(text)


@extend_schema_field({"type": "string", "description": "With + and country code; kept as E.164."})
class Phone(Parsed):
    """A phone number."""

    def parse(self, text: str) -> Address:
        address = parse_phone(text, settings.DEFAULT_PHONE_REGION)
        if not sms.is_country_allowed(address.value):
            raise InvalidField("country_not_served", "We send no messages to that country.")
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
class Hobbies(serializers.Field[Any, Any, Any, Any]):
    """A list of hobbies, or one newline-separated text."""

    default_error_messages = {"not_a_list": "Send a list of texts, or one text with a line each."}

    def to_internal_value(self, data: Any) -> tuple[str, ...]:
        if not isinstance(data, str) and not (
            isinstance(data, list) and all(isinstance(item, str) for item in data)
        ):
            self.fail("not_a_list")
        hobbies: tuple[str, ...] = parsed(parse_hobbies, data)
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
class Code(Parsed):
    """A one-time code as people type it."""

    def parse(self, text: str) -> str:
        digits = "".join(text.split())
        if not (digits.isascii() and digits.isdigit() and len(digits) == CODE_LENGTH):
            raise InvalidField("invalid", f"A code has {CODE_LENGTH} digits.")
        return digits


@extend_schema_field({"type": "string", "pattern": "^[A-Za-z0-9_-]{1,200}$"})
class LinkToken(Parsed):
    """The token of a confirmation link."""

    def parse(self, text: str) -> str:
        if not text.isascii() or not text or len(text) > 200:
            raise InvalidField("invalid", "This is not the token of a link.")
        return text


class SignUpBody(Body):
    """A new person."""

    name = Name()
    surname = Name()
    email = Email()
    phone = Phone()
    hobbies = Hobbies(required=False, default=())


class UpdateBody(Body):
    """What is to change of one's own profile; what is left out stays."""

    name = Name(required=False)
    surname = Name(required=False)
    email = Email(required=False)
    phone = Phone(required=False)
    hobbies = Hobbies(required=False)


class AddressBody(Body):
    """A confirmed address to sign in with: either the e-mail address or the phone number."""

    email = Email(required=False)
    phone = Phone(required=False)

    @staticmethod
    def together(values: dict[str, Any]) -> dict[str, Any]:
        addresses = [values[name] for name in ("email", "phone") if name in values]
        if len(addresses) != 1:
            raise ValidationError(
                {
                    "email": [
                        ErrorDetail("Send either email or phone.", code="either_email_or_phone")
                    ]
                }
            )
        return values | {"address": addresses[0]}


class EmptyBody(Body):
    """Nothing, or an empty object."""


class CodeBody(Body):
    """The code from a message."""

    code = Code()


class SignInBody(AddressBody):
    """The address, and the code that was sent there."""

    code = Code()


class LinkBody(Body):
    """The token of a confirmation link."""

    token = LinkToken()


class EmailConfirmationBody(Body):
    """The code from the e-mail (with a Bearer token), or the token from its link (without)."""

    code = Code(required=False)
    token = LinkToken(required=False)

    @staticmethod
    def together(values: dict[str, Any]) -> dict[str, Any]:
        if len(values) != 1:
            raise ValidationError(
                {"code": [ErrorDetail("Send either code or token.", code="either_code_or_token")]}
            )
        return values
