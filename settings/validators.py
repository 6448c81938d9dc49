"""Validators of settings: each raises `ValidationError`, to which environs adds the name.

No text repeats a value, which may hold a password.
"""

import re
from collections.abc import Iterable
from typing import Protocol

from environs import ValidationError, validate

# As it stands in a `Host` header: ASCII, so an internationalized name is in its `xn--` form.
_HOST = r"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])"
_PORT = r"(?::(?P<port>[1-9][0-9]{0,4}))?"
_ORIGIN = re.compile(rf"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\]){_PORT}")
_WEB_ORIGIN = re.compile(rf"(?P<scheme>https?)://{_HOST}{_PORT}/?", re.IGNORECASE)
_DEFAULT_PORTS = {"http": "80", "https": "443"}

at_least_one = validate.Range(min=1, max=1_000_000_000)
not_negative = validate.Range(min=0, max=1_000_000_000)
fraction = validate.Range(min=0, max=1)
timeout = validate.Range(min=0.01, max=86_400)  # seconds
delay = validate.Range(min=0, max=600)  # seconds
days = validate.Range(min=1, max=36_500)
host_name = validate.Regexp(
    rf"{_HOST}\Z", re.IGNORECASE, error="It must be a host name, without scheme, port and path."
)
url = validate.Regexp(
    r"https?://[^\s/]+(/\S*)?\Z", re.IGNORECASE, error="It must be http(s)://host[:port][/path]."
)
# A secret that is sent in a header, or compared with one.
token = validate.Regexp(r"[!-~]+\Z", error="It must have ASCII characters only, and no blanks.")
# https://developer.vonage.com/en/messaging/sms/guides/custom-sender-id
sms_sender = validate.Regexp(
    r"(?:\+?[1-9][0-9]{2,14}|(?=.*[a-z])[a-z0-9]{3,11})\Z",
    re.IGNORECASE,
    error="It must be 3 to 11 letters and digits, or a number in E.164 (+ and at most 15 digits).",
)


def optional(validator: "_Parser") -> "_Parser":
    """Returns a validator that accepts an empty text too."""
    return lambda text, /: validator(text) if text else None


def printable(text: str) -> None:
    """Accepts no line break, control character or other invisible one, and no enclosing quotes:
    they are what files and `docker run --env-file` leave in a value.
    """
    if not text.isprintable():
        raise ValidationError("It has a line break or another invisible character.")
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        raise ValidationError("It is in quotes, which would be part of the value.")


def allowed_host(text: str) -> None:
    """Accepts what Django's ALLOWED_HOSTS may have."""
    if text != "*" and not re.fullmatch(rf"\.?{_HOST}", text, re.IGNORECASE):
        raise ValidationError(
            "Each must be a host name (.example.com: with all its subdomains; *: any),"
            " without scheme, port and path."
        )


def origin(text: str) -> None:
    """Accepts an origin as browsers serialize it (RFC 6454 section 6.2): another spelling would
    never be equal to what they send.
    """
    if not _is_origin(_ORIGIN.fullmatch(text)):
        raise ValidationError(
            "Each must be an origin as browsers send it: scheme://host[:port] in lower case,"
            " without a path or the scheme's default port."
        )


def web_origin(text: str) -> None:
    """Accepts http(s)://host[:port], also with a slash at the end."""
    if not _is_origin(_WEB_ORIGIN.fullmatch(text)):
        raise ValidationError(
            "It must be https://host[:port] or http://host[:port], without user, path, query and"
            " the scheme's default port."
        )


def host_and_port(text: str) -> None:
    """Accepts host or host:port."""
    match = re.fullmatch(_HOST + _PORT, text, re.IGNORECASE)
    if not match or not _is_port(match["port"]):
        raise ValidationError("It must be host or host:port, without scheme and path.")


class _Parser(Protocol):
    def __call__(self, text: str, /) -> object: ...


def parsed_by(parser: _Parser) -> _Parser:
    """Returns a validator of what `parser` accepts; the text of its `ValueError` is the reason."""

    def validator(text: str, /) -> None:
        try:
            parser(text)
        except ValueError as error:
            raise ValidationError(str(error)) from None

    return validator


def one_of(choices: Iterable[str]) -> _Parser:
    """Returns a validator of a word, in upper or lower case."""
    accepted = {choice.upper() for choice in choices}

    def validator(text: str, /) -> None:
        if text.upper() not in accepted:
            raise ValidationError(f"It must be one of {', '.join(sorted(choices))}.")

    return validator


def _is_origin(match: re.Match[str] | None) -> bool:
    return bool(
        match
        and _is_port(match["port"])
        and match["port"] != _DEFAULT_PORTS.get(match["scheme"].lower(), "")
    )


def _is_port(text: str | None) -> bool:
    return text is None or int(text) < 65536
