"""What each message says, before it is rendered: pure functions, no Django.

`settings` are Django's; used are `SERVICE_NAME`, `PUBLIC_URL` and `SMS_DOMAIN`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from domain.model.address import Channel
from domain.model.one_time_code import CODE_LIFETIME, LINK_LIFETIME, SIGN_IN_LIFETIME, format_code
from workers.messages.plain_text import origin_bound_line, sanitize_name, strip_controls

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, repr=False)
class Draft:
    """A message to render: `kind` names its templates, `context` has their variables.

    The rendered message must have `code` and `link`. `last_line` ends a text message.
    """

    kind: str
    channel: str
    to: str
    context: Mapping[str, Any]
    code: str | None = None
    link: str | None = None
    last_line: str = ""

    def __repr__(self) -> str:
        return f"Draft(kind={self.kind!r}, channel={self.channel!r})"


def confirmation_email(
    settings: Any, *, to: str, name: str, code: str | None, link_token: str
) -> Draft:
    """Asks the owner of an e-mail address to confirm it; `code` is None once it has expired and
    only the link is still valid.
    """
    link = f"{settings.PUBLIC_URL}/confirm/email/#{link_token}"
    context = {
        "name": sanitize_name(name),
        "code": format_code(code) if code else "",
        "link": link,
        "minutes": CODE_LIFETIME[Channel.EMAIL] // _MINUTE,
        "hours": LINK_LIFETIME // (60 * _MINUTE),
    }
    return _make_draft(settings, "confirmation", "email", to, context, code, link)


def confirmation_sms(settings: Any, *, to: str, name: str, code: str) -> Draft:
    """Asks the owner of a phone number to confirm it."""
    minutes = CODE_LIFETIME[Channel.PHONE] // _MINUTE
    context = {"name": sanitize_name(name), "code": code, "minutes": minutes}
    return _make_draft(settings, "confirmation", "phone", to, context, code)


def sign_in_code(settings: Any, *, channel: str, to: str, code: str) -> Draft:
    """Has a sign-in code."""
    shown = code if channel == "phone" else format_code(code)
    context = {"code": shown, "minutes": SIGN_IN_LIFETIME // _MINUTE}
    return _make_draft(settings, "sign_in_code", channel, to, context, code)


def address_in_use_notice(settings: Any, *, channel: str, to: str) -> Draft:
    """Notifies the owner of a verified address that it was used to sign up."""
    return _make_draft(settings, "address_in_use", channel, to, {})


def address_change_notice(settings: Any, *, channel: str, to: str, changed: str) -> Draft:
    """Notifies the owner of a verified address, on `channel`, that the account's address on the
    channel `changed` is to be replaced.
    """
    context = {"changes_phone": changed == "phone"}
    return _make_draft(settings, "address_change", channel, to, context)


def samples(settings: Any, name: str = "Ada Lovelace") -> list[Draft]:
    """Returns a draft of every message, for the preview and the check of templates."""
    email, phone, code, token = "ada@example.org", "+447700900123", "731964", "AbC-_9"
    channels = ("email", "phone")
    return [
        confirmation_email(settings, to=email, name=name, code=code, link_token=token),
        confirmation_email(settings, to=email, name=name, code=None, link_token=token),
        confirmation_sms(settings, to=phone, name=name, code=code),
        *(sign_in_code(settings, channel=each, to=email, code=code) for each in channels),
        *(address_in_use_notice(settings, channel=each, to=email) for each in channels),
        *(
            address_change_notice(settings, channel=each, to=email, changed=changed)
            for changed in channels
            for each in channels
        ),
    ]


def _make_draft(
    settings: Any,
    kind: str,
    channel: str,
    to: str,
    context: Mapping[str, Any],
    code: str | None = None,
    link: str | None = None,
) -> Draft:
    service = strip_controls(settings.SERVICE_NAME)
    is_bound = channel == "phone" and code
    last_line = origin_bound_line(settings.SMS_DOMAIN, str(code)) if is_bound else ""
    everything = {"service": service, "url": settings.PUBLIC_URL, **context}
    return Draft(kind, channel, to, everything, code, link, last_line)
