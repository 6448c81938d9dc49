"""Renders the confirmation messages, and the parts of all messages.

The name was entered at sign-up, perhaps with another person's address. It is shown, so that the
owner of the address knows who uses it, but sanitized: no markup, no line breaks, no text direction,
nothing that mail programs turn into links.
"""

import re
import unicodedata
from html import escape
from urllib.parse import urlsplit

from workers.messages.gsm7 import SEGMENT_SEPTETS, gsm7_septets, truncate
from workers.providers.base import Message

_BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_NAME_MAX_LENGTH = 100
_MIN_NAME_SEPTETS = 6  # a shorter name tells its owner nothing
IGNORE_HINT = "If this was not you, do nothing"

type Block = tuple[str, str]  # its type, a key of the two tables below; and its text


def confirmation_email(
    *,
    to: str,
    name: str,
    code: str | None,
    link: str,
    code_minutes: int,
    link_hours: int,
    service: str = "Rollcall",
    public_url: str,
) -> Message:
    """Renders the e-mail that asks the owner of an address to confirm it.

    `code` is None once the code has expired and only the link is still valid.
    """
    service = strip_controls(service)
    subject = f"Confirm your e-mail address for {service}"
    code_line = f"If that was you, enter this code within {_pluralize(code_minutes, 'minute')}:"
    link_intro = "Or" if code else "If that was you,"
    blocks = [
        # Fixed text comes first: the SendGrid SDK rejects a text that begins like an API key.
        ("paragraph", f"Somebody signed up at {service} with this e-mail address, as"),
        ("name", _sanitize_name(name)),
        *([("paragraph", code_line), ("code", code)] if code else []),
        ("paragraph", f"{link_intro} open this link within {_pluralize(link_hours, 'hour')}:"),
        ("link", link),
        ("paragraph", f"{IGNORE_HINT}, and give what is in this message to nobody."),
        ("footer", f"{service}, {public_url}"),
    ]
    return build_email(to, subject, blocks, code, link)


def confirmation_sms(
    *, to: str, name: str, code: str, minutes: int, domain: str, service: str = "Rollcall"
) -> Message:
    """Renders the text message that asks to confirm a number, in one segment for every name.

    The last line binds the code to `domain`, so that phones fill it in there and nowhere else
    (https://wicg.github.io/sms-one-time-codes/); the format has no port. A name is truncated to
    fit, or left out if the GSM alphabet cannot spell it. A long domain displaces the explanations,
    never the code.
    """
    opening = f"{code} is your {sms_service_name(service)} code for {minutes} min."
    closing = f" {IGNORE_HINT}.{origin_bound_line(code, domain)}"
    max_septets = SEGMENT_SEPTETS - (
        gsm7_septets(f"{opening} '' signed up.{closing}") or SEGMENT_SEPTETS
    )
    shown_name = _to_gsm7(_sanitize_name(name), max_septets)
    signed_up_by = f" '{shown_name}' signed up." if shown_name else ""
    text = f"{opening}{signed_up_by}{closing}"
    if (gsm7_septets(text) or 0) > SEGMENT_SEPTETS:
        text = opening + origin_bound_line(code, domain)
    return Message("phone", to, "", text, "", code)


def build_email(
    to: str, subject: str, blocks: list[Block], code: str | None = None, link: str | None = None
) -> Message:
    """Renders an e-mail from blocks, as plain text and as HTML."""
    return Message("email", to, subject, _as_text(blocks), _as_html(subject, blocks), code, link)


def origin_bound_line(code: str, domain: str) -> str:
    """Returns the last line of a text message, which binds the code to a domain."""
    return f"\n\n@{_host(domain)} #{code}"


def sms_service_name(service: str) -> str:
    """Returns the service's name, shortened for text messages."""
    return _to_gsm7(strip_controls(service), 20)


def _as_text(blocks: list[Block]) -> str:
    return "\n\n".join(_TEXT[kind].format(text) for kind, text in blocks) + "\n"


def _as_html(title: str, blocks: list[Block]) -> str:
    body = "\n".join(_HTML[kind].format(escape(text)) for kind, text in blocks)
    return _PAGE.format(title=escape(title), body=body)


def _sanitize_name(name: str) -> str:
    """Returns the name on one line, without what could be taken for anything but a name."""
    name = "".join(c for c in name if unicodedata.bidirectional(c) not in _BIDI_CONTROLS)
    name = strip_controls(name).replace("://", ": //")
    # Mail programs turn "example.com" into a link.
    name = re.sub(r"(?<=\w)\.(?=\w\w)", ". ", name)
    return name if len(name) <= _NAME_MAX_LENGTH else f"{name[: _NAME_MAX_LENGTH - 1]}…"


def strip_controls(text: str) -> str:
    """Removes line breaks and control characters."""
    spaced = " ".join(text.split())
    return "".join(c for c in spaced if unicodedata.category(c) != "Cc")


def _to_gsm7(name: str, max_septets: int) -> str:
    """Converts a name to at most `max_septets` of the GSM alphabet, '' if that is not possible."""
    name = "".join(c if gsm7_septets(c) else _without_accent(c) for c in name)
    septets = gsm7_septets(name)
    if septets is None:
        return ""
    if septets <= max_septets:
        return name
    return (
        f"{truncate(name, max_septets - 2).rstrip()}.." if max_septets >= _MIN_NAME_SEPTETS else ""
    )


def _without_accent(character: str) -> str:
    """Returns a character without its accent: the alphabet has "é" but not "ë"."""
    parts = unicodedata.normalize("NFKD", character)
    return "".join(part for part in parts if not unicodedata.combining(part))


def _host(domain: str) -> str:
    """Returns the host, in ASCII, of a domain that may have a port or be a whole URL."""
    host = urlsplit(domain if "//" in domain else f"//{domain}").hostname or domain
    return host if host.isascii() else host.encode("idna").decode("ascii")


def _pluralize(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


_TEXT = {"paragraph": "{}", "name": "    {}", "code": "    {}", "link": "{}", "footer": "{}"}
_HTML = {
    "paragraph": "<p>{}</p>",
    "name": "<p><strong><bdi>{}</bdi></strong></p>",
    "code": '<p style="font: bold 28px/1.4 monospace; letter-spacing: 4px">{}</p>',
    "link": '<p style="word-break: break-all"><a href="{0}">{0}</a></p>',
    "footer": '<p style="color: #595959">{}</p>',
}
# Loads nothing, so that opening it reveals nothing.
_PAGE = """\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title></head>
<body style="margin: 0; padding: 24px; background: #ffffff; color: #1a1a1a;
 font: 16px/1.5 system-ui, sans-serif">
<main style="max-width: 34em; margin: 0 auto">
{body}
</main>
</body>
</html>
"""
