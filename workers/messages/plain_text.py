"""Texts that go into a message: on one line, and isolated from the direction of what is around."""

import re
import unicodedata
from urllib.parse import urlsplit

_BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_FSI, _PDI = "\u2068", "\u2069"  # first strong isolate, pop directional isolate


def strip_controls(text: str) -> str:
    """Removes line breaks and control characters."""
    spaced = " ".join(text.split())
    return "".join(c for c in spaced if unicodedata.category(c) != "Cc")


def sanitize_name(name: str) -> str:
    """Returns the name on one line, without what could be taken for anything but a name.

    It was entered at sign-up, perhaps with another person's address. It is shown, so that the owner
    of the address knows who uses it, but without line breaks, text direction, and what mail
    programs turn into links.
    """
    name = "".join(c for c in name if unicodedata.bidirectional(c) not in _BIDI_CONTROLS)
    name = strip_controls(name).replace("://", ": //")
    # Mail programs turn "example.com" into a link.
    return re.sub(r"(?<=\w)\.(?=\w\w)", ". ", name)


def isolate(text: str, *, is_rtl: bool) -> str:
    """Returns a text with Unicode's isolates around it (UAX 9 section 2.4.2), where it or the text
    around runs from right to left: else digits and punctuation would be out of place.
    """
    has_rtl = any(unicodedata.bidirectional(c) in ("R", "AL") for c in text)
    if not text or not (is_rtl or has_rtl):
        return text
    # Mail programs take what follows a link, up to a space, for a part of it.
    space = " " if "://" in text else ""
    return f"{_FSI}{text}{space}{_PDI}"


def origin_bound_line(domain: str, code: str) -> str:
    """Returns the last line of a text message, which binds the code to the host of `domain`.

    Phones fill the code in there and nowhere else (https://wicg.github.io/sms-one-time-codes/).
    The format has no port; the setting may have one, or be a whole URL.
    """
    host = urlsplit(domain if "//" in domain else f"//{domain}").hostname or domain
    return f"\n\n@{host.encode('idna').decode('ascii')} #{code}"
