"""E-mail addresses and phone numbers."""

import unicodedata
from dataclasses import dataclass
from enum import StrEnum

import idna
from email_validator import EmailNotValidError, validate_email

from domain.model.errors import InvalidField
from domain.model.phone_number import parse_e164
from domain.model.unicode_text import trim

EMAIL_MAX_BYTES = 254  # RFC 5321 section 4.5.3.1.3, less the angle brackets


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
        """The form in which addresses are compared.

        Two e-mail addresses are equal if their domains have the same A-label (IDNA 2008: `faß.de`
        is not `fass.de`), and their local parts in NFC differ at most in the case of ASCII letters:
        RFC 5321 section 2.4 leaves case to the mail servers, and those ignore it.
        """
        if self.channel is Channel.PHONE:
            return self.value
        local, _, domain = unicodedata.normalize("NFC", self.value).rpartition("@")
        a_label = domain if domain.isascii() else idna.encode(domain).decode()
        return f"{local}@{a_label}".encode().lower().decode()  # bytes.lower() is ASCII's alone


def parse_email(text: str) -> Address:
    """Parses an e-mail address by RFC 5322/6531, without DNS; compared without regard to case.

    Raises `InvalidField` (`invalid`, `too_long`).
    """
    if len(text.encode()) > 2 * EMAIL_MAX_BYTES:
        raise InvalidField("too_long", "Use at most {count} bytes.", count=EMAIL_MAX_BYTES)
    try:
        value = validate_email(trim(text), check_deliverability=False, strict=True).normalized
    except EmailNotValidError:
        # The library's own text repeats parts of the address, so it is not passed on.
        raise InvalidField("invalid", "This is not a valid e-mail address.") from None
    if len(value.encode()) > EMAIL_MAX_BYTES:
        raise InvalidField("too_long", "Use at most {count} bytes.", count=EMAIL_MAX_BYTES)
    return Address(Channel.EMAIL, value)


def parse_phone(text: str, default_region: str | None = None) -> Address:
    """Parses a phone number into E.164, as `phone_number.parse_e164` does and with its errors."""
    return Address(Channel.PHONE, parse_e164(text, default_region))


def mask(channel: Channel, value: str) -> str:
    """Masks an address so that only its owner recognises it: a…@e….com, +34…56."""
    if channel is Channel.PHONE:
        return f"{value[:3]}…{value[-2:]}"
    local, _, domain = value.rpartition("@")
    name, _, tld = domain.rpartition(".")
    return f"{local[:1]}…@{name[:1]}….{tld}"
