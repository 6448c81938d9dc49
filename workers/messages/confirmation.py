"""Renders the messages that ask the owner of an address to confirm it.

The name was entered at sign-up, perhaps with another person's address. It is shown, so that the
owner of the address knows who uses it, but sanitized: no markup, no line breaks, no text direction,
nothing that mail programs turn into links.
"""

import re
import unicodedata
from typing import Any

from domain.model.address import Channel
from domain.model.one_time_code import CODE_LIFETIME, LINK_LIFETIME, format_code
from workers.messages.gsm7 import SEGMENT_SEPTETS, count_septets, to_gsm7
from workers.messages.layout import (
    IGNORE_HINT,
    MINUTE,
    SECRECY_HINT,
    build_email,
    build_sms,
    origin_bound_line,
    sms_service_name,
    strip_controls,
)
from workers.messages.message import Message

_BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def confirmation_email(
    settings: Any, *, to: str, name: str, code: str | None, link_token: str
) -> Message:
    """Renders the e-mail; `code` is None once it has expired and only the link is still valid."""
    service, link = settings.SERVICE_NAME, f"{settings.PUBLIC_URL}/confirm/email/#{link_token}"
    minutes, hours = CODE_LIFETIME[Channel.EMAIL] // MINUTE, LINK_LIFETIME // (60 * MINUTE)
    code_line = f"If that was you, enter this code within {minutes} minutes:"
    link_intro = "Or" if code else "If that was you,"
    blocks = [
        ("paragraph", f"Somebody signed up at {service} with this e-mail address, as"),
        ("name", _sanitize_name(name)),
        *([("paragraph", code_line), ("code", format_code(code))] if code else []),
        ("paragraph", f"{link_intro} open this link within {hours} hours:"),
        ("link", link),
        ("paragraph", f"{IGNORE_HINT}, and {SECRECY_HINT}."),
    ]
    subject = f"Confirm your e-mail address for {service}"
    return build_email(settings, to, subject, blocks, code, link)


def confirmation_sms(settings: Any, *, to: str, name: str, code: str) -> Message:
    """Renders the text message, in one segment for every name.

    A name is truncated to fit, or left out if the GSM alphabet cannot spell it. A long domain
    displaces the explanations, never the code.
    """
    minutes = CODE_LIFETIME[Channel.PHONE] // MINUTE
    opening = f"{code} is your {sms_service_name(settings)} code for {minutes} min."
    bound_line = origin_bound_line(settings, code)
    closing = f" {IGNORE_HINT}.{bound_line}"
    max_septets = SEGMENT_SEPTETS - count_septets(f"{opening} '' signed up.{closing}")
    shown_name = to_gsm7(_sanitize_name(name), max_septets)
    signed_up_by = f" '{shown_name}' signed up." if shown_name else ""
    text = f"{opening}{signed_up_by}{closing}"
    if count_septets(text) > SEGMENT_SEPTETS:
        text = opening + bound_line
    return build_sms(to, text, code)


def _sanitize_name(name: str) -> str:
    """Returns the name on one line, without what could be taken for anything but a name."""
    name = "".join(c for c in name if unicodedata.bidirectional(c) not in _BIDI_CONTROLS)
    name = strip_controls(name).replace("://", ": //")
    # Mail programs turn "example.com" into a link.
    return re.sub(r"(?<=\w)\.(?=\w\w)", ". ", name)
