"""Fields of request bodies: one per parser of the domain, with its OpenAPI schema."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from domain.model.address import Address, parse_email, parse_phone
from domain.model.errors import InvalidField
from domain.model.language import SUPPORTED, parse_locale
from domain.model.one_time_code import TOKEN_LENGTH, normalize_code, parse_token
from domain.model.person import (
    HOBBY_MAX_LENGTH,
    MAX_HOBBIES,
    NAME_MAX_LENGTH,
    parse_hobbies,
    parse_name,
)
from domain.postgres import sms_quotas


class TextField(serializers.Field[Any, Any, Any, Any]):
    """A string. Subclasses say what it means; all raise `InvalidField`."""

    def parse(self, text: str) -> Any:
        """Returns the value of `text`."""
        raise NotImplementedError

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            raise InvalidField("not_a_string", "Send a string.")
        return self.parse(data)


@extend_schema_field({"type": "boolean"})
class FlagField(serializers.Field[Any, Any, Any, Any]):
    """true or false; DRF's own takes many a word for one of them."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise InvalidField("not_a_boolean", "Send true or false.")
        return data


@extend_schema_field({"type": "string", "minLength": 1, "maxLength": NAME_MAX_LENGTH})
class NameField(TextField):
    """A name or surname."""

    def parse(self, text: str) -> str:
        return parse_name(text)


@extend_schema_field({"type": "string", "format": "email", "maxLength": 254})
class EmailField(TextField):
    """An e-mail address."""

    def parse(self, text: str) -> Address:
        return parse_email(text)


@extend_schema_field({"type": "string", "description": "With + and country code; kept as E.164."})
class PhoneField(TextField):
    """A phone number."""

    def parse(self, text: str) -> Address:
        address = parse_phone(text, settings.DEFAULT_PHONE_REGION)
        if not sms_quotas.is_country_allowed(address.value):
            raise InvalidField(
                "country_not_supported", "Text messages to that country are not supported."
            )
        return address


_HOBBY = {"type": "string", "maxLength": HOBBY_MAX_LENGTH}
_HOBBY_LIST = {"type": "array", "maxItems": MAX_HOBBIES, "items": _HOBBY}
_HOBBY_LINES = {"type": "string", "description": "One hobby a line."}


@extend_schema_field({"oneOf": [_HOBBY_LIST, _HOBBY_LINES]})
class HobbiesField(serializers.Field[Any, Any, Any, Any]):
    """A list of hobbies, or one newline-separated string."""

    def to_internal_value(self, data: Any) -> tuple[str, ...]:
        items = data if isinstance(data, list) else [data]
        if not all(isinstance(item, str) for item in items):
            raise InvalidField(
                "not_a_list", "Send a list of strings, or one string with a hobby a line."
            )
        return parse_hobbies(data)


@extend_schema_field(
    {
        "type": "string",
        "maxLength": 35,
        "description": "A BCP 47 language tag, for messages and not part of the profile; supported"
        f" are {', '.join(SUPPORTED)}, and tags that begin with one of them (`de-AT`).",
    }
)
class LocaleField(TextField):
    """The language of messages."""

    def parse(self, text: str) -> str:
        return parse_locale(text)


@extend_schema_field(
    {
        "type": "string",
        "pattern": r"^\s*(([0-9]\s*){6}|([0-9A-Za-z]\s*-?\s*){10})$",
        "description": "Six digits, or ten characters in any case; spaces and hyphens are ignored.",
    }
)
class CodeField(TextField):
    """A one-time code as typed."""

    def parse(self, text: str) -> str:
        code = normalize_code(text)
        if code is None:
            raise InvalidField("invalid", "A code has six digits, or ten characters.")
        return code


@extend_schema_field({"type": "string", "pattern": f"^[A-Za-z0-9_-]{{{TOKEN_LENGTH}}}$"})
class ChallengeField(TextField):
    """The token of a sign-in challenge."""

    def parse(self, text: str) -> str:
        if parse_token(text) is None:
            raise InvalidField("invalid", "Not a challenge.")
        return text


@extend_schema_field({"type": "string", "pattern": "^[A-Za-z0-9_-]{1,200}$"})
class LinkTokenField(TextField):
    """The token of a confirmation link."""

    def parse(self, text: str) -> str:
        if not text.isascii() or not text or len(text) > 200:
            raise InvalidField("invalid", "Not a link token.")
        return text
