"""The GSM 7-bit alphabet of text messages (3GPP TS 23.038 section 6.2.1)."""

SEGMENT_SEPTETS = 160  # with a character outside the alphabet: 70 characters

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("\f^{}\\[~]|€")  # each takes two septets, of which one is an escape


def gsm7_septets(text: str) -> int | None:
    """Counts the septets of a text; None if a character is outside the alphabet."""
    if not _BASIC.union(_EXTENSION).issuperset(text):
        return None
    return len(text) + sum(character in _EXTENSION for character in text)


def truncate(text: str, max_septets: int) -> str:
    """Truncates a text of this alphabet to at most `max_septets`."""
    while text and (gsm7_septets(text) or 0) > max_septets:
        text = text[:-1]
    return text
