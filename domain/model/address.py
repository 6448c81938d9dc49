"""E-mail addresses and phone numbers."""

from dataclasses import dataclass
from enum import StrEnum

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from domain.model.errors import InvalidField

EMAIL_MAX_BYTES = 254  # RFC 5321 section 4.5.3.1.3, less the angle brackets
PHONE_MAX_LENGTH = 64  # of input; E.164 itself has at most 15 digits


class Channel(StrEnum):
    """A channel over which a person receives messages."""

    EMAIL = "email"
    PHONE = "phone"


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """An address, as its owner writes it."""

    channel: Channel
    value: str

    @property
    def canonical(self) -> str:
        """The form in which addresses are compared: e-mail is case-folded."""
        return self.value.casefold() if self.channel is Channel.EMAIL else self.value


def parse_email(text: str) -> Address:
    """Parses an e-mail address by RFC 5322/6531, without DNS; compared without regard to case.

    Raises `InvalidField` (`invalid`, `too_long`).
    """
    if len(text.encode()) > 2 * EMAIL_MAX_BYTES:
        raise InvalidField("too_long", f"Use at most {EMAIL_MAX_BYTES} bytes.")
    try:
        value = validate_email(text.strip(), check_deliverability=False, strict=True).normalized
    except EmailNotValidError:
        # The library's own text repeats parts of the address, so it is not passed on.
        raise InvalidField("invalid", "This is not a valid e-mail address.") from None
    if len(value.encode()) > EMAIL_MAX_BYTES:
        raise InvalidField("too_long", f"Use at most {EMAIL_MAX_BYTES} bytes.")
    return Address(Channel.EMAIL, value)


def parse_phone(text: str, default_region: str | None = None) -> Address:
    """Parses a phone number into E.164; without `+` it needs a `default_region` (ISO 3166-1).

    Raises `InvalidField` (`invalid`, `country_code_missing`).
    """
    invalid = InvalidField("invalid", "This is not a possible phone number of its country.")
    text = text.strip()
    if len(text) > PHONE_MAX_LENGTH:
        raise invalid
    if not text.startswith(("+", "\uff0b")) and default_region is None:
        raise InvalidField("country_code_missing", "Begin with + and the country code.")
    try:
        number = phonenumbers.parse(text, default_region)
    except phonenumbers.NumberParseException:
        raise invalid from None
    # SMS cannot dial an extension, and E.164 would silently drop it.
    if number.extension or not phonenumbers.is_possible_number(number):
        raise invalid
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return Address(Channel.PHONE, e164)


def mask(channel: Channel, value: str) -> str:
    """Masks an address so that only its owner recognises it: a…@e….com, +34…56."""
    if channel is Channel.PHONE:
        return f"{value[:3]}…{value[-2:]}"
    local, _, domain = value.rpartition("@")
    name, _, tld = domain.rpartition(".")
    return f"{local[:1]}…@{name[:1]}….{tld}"
