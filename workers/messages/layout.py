"""The layout of all messages: e-mails from blocks, and text messages with a bound code.

`settings` are Django's; used are `SERVICE_NAME`, `PUBLIC_URL` and `SMS_DOMAIN`.
"""

import unicodedata
from datetime import timedelta
from html import escape
from typing import Any
from urllib.parse import urlsplit

from workers.messages.gsm7 import to_gsm7
from workers.messages.message import Message

IGNORE_HINT = "If this was not you, do nothing"
SECRECY_HINT = "give what is in this message to nobody"
MINUTE = timedelta(minutes=1)

type Block = tuple[str, str]  # a key of the templates, and its text

_TEMPLATES = {  # in plain text, and in HTML
    "paragraph": ("{}", "<p>{}</p>"),
    "name": ("    {}", "<p><strong><bdi>{}</bdi></strong></p>"),
    "code": ("    {}", '<p style="font: bold 28px/1.4 monospace; letter-spacing: 4px">{}</p>'),
    "link": ("{}", '<p style="word-break: break-all"><a href="{0}">{0}</a></p>'),
    "footer": ("{}", '<p style="color: #595959">{}</p>'),
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


def build_email(
    settings: Any,
    to: str,
    subject: str,
    blocks: list[Block],
    code: str | None = None,
    link: str | None = None,
) -> Message:
    """Renders an e-mail from blocks and a footer, as plain text and as HTML."""
    subject = strip_controls(subject)
    blocks = [*blocks, ("footer", f"{settings.SERVICE_NAME}, {settings.PUBLIC_URL}")]
    text = "\n\n".join(_TEMPLATES[kind][0].format(content) for kind, content in blocks)
    body = "\n".join(_TEMPLATES[kind][1].format(escape(content)) for kind, content in blocks)
    html = _PAGE.format(title=escape(subject), body=body)
    return Message("email", to, subject, f"{text}\n", html, code, link)


def build_sms(to: str, text: str, code: str | None = None) -> Message:
    """Builds a text message."""
    return Message("phone", to, "", text, "", code)


def origin_bound_line(settings: Any, code: str) -> str:
    """Returns the last line of a text message, which binds the code to the host of `SMS_DOMAIN`.

    Phones fill the code in there and nowhere else (https://wicg.github.io/sms-one-time-codes/).
    The format has no port; the setting may have one, or be a whole URL.
    """
    domain = settings.SMS_DOMAIN
    host = urlsplit(domain if "//" in domain else f"//{domain}").hostname or domain
    return f"\n\n@{host.encode('idna').decode('ascii')} #{code}"


def sms_service_name(settings: Any) -> str:
    """Returns the service's name, shortened for text messages."""
    return to_gsm7(strip_controls(settings.SERVICE_NAME), 20)


def strip_controls(text: str) -> str:
    """Removes line breaks and control characters."""
    spaced = " ".join(text.split())
    return "".join(c for c in spaced if unicodedata.category(c) != "Cc")
