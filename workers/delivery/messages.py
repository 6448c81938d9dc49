"""The texts of the messages: pure functions from what is to be said to a `Message`.

The name in them was typed by whoever signed up, perhaps with a stranger's address. So it is
shown, to let the owner of the address see what goes on, but it cannot break out of its place:
no markup, no lines of its own, no text direction, nothing that a mail program makes a link of.
"""

import re
import unicodedata
from html import escape
from urllib.parse import urlsplit

from workers.delivery.gsm7 import ONE_SEGMENT, cut, gsm7_septets
from workers.delivery.port import Message

_BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_LONGEST_NAME = 100
_FEWEST_OF_NAME = 6  # a shorter piece of a name tells its owner nothing
NOT_YOU = "If this was not you, do nothing"

type Block = tuple[str, str]  # what it is, a key of the two tables below; and its words


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
    """The e-mail that asks whether an address is its reader's.

    `code` is None once the code is out of date and only the link is still good.
    """
    service = one_line(service)
    subject = f"Confirm your e-mail address for {service}"
    enter = f"If that was you, enter this code within {_count(code_minutes, 'minute')}:"
    first = "Or" if code else "If that was you,"
    blocks = [
        # Words of ours come first: the SendGrid SDK refuses a text that begins like an API key.
        ("words", f"Somebody signed up at {service} with this e-mail address, as"),
        ("name", _tame(name)),
        *([("words", enter), ("code", code)] if code else []),
        ("words", f"{first} open this link within {_count(link_hours, 'hour')}:"),
        ("link", link),
        ("words", f"{NOT_YOU}, and give what is in this message to nobody."),
        ("sender", f"{service}, {public_url}"),
    ]
    return email(to, subject, blocks, code, link)


def confirmation_sms(
    *, to: str, name: str, code: str, minutes: int, domain: str, service: str = "Rollcall"
) -> Message:
    """The text message that asks whether a number is its reader's: one segment for every name.

    Its last line binds the code to `domain`, so that phones offer it there and nowhere else
    (https://wicg.github.io/sms-one-time-codes/); a port is left off, the format has none. A
    name is cut to what fits, or left out if it cannot be written in the GSM alphabet. A domain
    that leaves no room costs explanations, never the code.
    """
    what = f"{code} is your {short(service)} code for {minutes} min."
    end = f" {NOT_YOU}.{bound(code, domain)}"
    room = ONE_SEGMENT - (gsm7_septets(f"{what} '' signed up.{end}") or ONE_SEGMENT)
    shown = _in_gsm7(_tame(name), room)
    who = f" '{shown}' signed up." if shown else ""
    text = f"{what}{who}{end}"
    if (gsm7_septets(text) or 0) > ONE_SEGMENT:
        text = what + bound(code, domain)
    return Message("phone", to, "", text, "", code)


def email(
    to: str, subject: str, blocks: list[Block], code: str | None = None, link: str | None = None
) -> Message:
    """An e-mail made of blocks, as plain text and as HTML."""
    return Message("email", to, subject, _as_text(blocks), _as_html(subject, blocks), code, link)


def bound(code: str, domain: str) -> str:
    """The last line of a text message: it binds the code to a domain."""
    return f"\n\n@{_host(domain)} #{code}"


def short(service: str) -> str:
    """The service's name as a text message has room for it."""
    return _in_gsm7(one_line(service), 20)


def _as_text(blocks: list[Block]) -> str:
    return "\n\n".join(_TEXT[kind].format(words) for kind, words in blocks) + "\n"


def _as_html(title: str, blocks: list[Block]) -> str:
    body = "\n".join(_HTML[kind].format(escape(words)) for kind, words in blocks)
    return _PAGE.format(title=escape(title), body=body)


def _tame(name: str) -> str:
    """The name on one line, without what could pass for something else than a name."""
    name = "".join(c for c in name if unicodedata.bidirectional(c) not in _BIDI_CONTROLS)
    name = one_line(name).replace("://", ": //")
    name = re.sub(r"(?<=\w)\.(?=\w\w)", ". ", name)  # "example.com" would become a link
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def one_line(text: str) -> str:
    """The text without line breaks and control characters."""
    spaced = " ".join(text.split())
    return "".join(c for c in spaced if unicodedata.category(c) != "Cc")


def _in_gsm7(name: str, room: int) -> str:
    """The name in the GSM alphabet and in `room` septets, '' if there is no such thing."""
    name = "".join(c if gsm7_septets(c) else _without_accent(c) for c in name)
    septets = gsm7_septets(name)
    if septets is None:
        return ""
    if septets <= room:
        return name
    return f"{cut(name, room - 2).rstrip()}.." if room >= _FEWEST_OF_NAME else ""


def _without_accent(character: str) -> str:
    """The alphabet has "é" but not "ë"; phones show such letters bare, too."""
    parts = unicodedata.normalize("NFKD", character)
    return "".join(part for part in parts if not unicodedata.combining(part))


def _host(domain: str) -> str:
    """The host of a domain that may come with a port or as a whole URL, in ASCII."""
    host = urlsplit(domain if "//" in domain else f"//{domain}").hostname or domain
    return host if host.isascii() else host.encode("idna").decode("ascii")


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


_TEXT = {"words": "{}", "name": "    {}", "code": "    {}", "link": "{}", "sender": "{}"}
_HTML = {
    "words": "<p>{}</p>",
    "name": "<p><strong><bdi>{}</bdi></strong></p>",
    "code": '<p style="font: bold 28px/1.4 monospace; letter-spacing: 4px">{}</p>',
    "link": '<p style="word-break: break-all"><a href="{0}">{0}</a></p>',
    "sender": '<p style="color: #595959">{}</p>',
}
# Nothing is fetched when it is opened, so opening it tells nobody.
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
