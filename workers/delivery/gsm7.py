"""The alphabet of text messages, GSM 7 bit (3GPP TS 23.038, section 6.2.1)."""

SEGMENT_SEPTETS = 160  # septets; the first character outside the alphabet leaves room for only 70

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("\f^{}\\[~]|€")  # each goes out as an escape and a second septet


def gsm7_septets(text: str) -> int | None:
    """How many septets the text takes; None if a character is outside the alphabet."""
    if not _BASIC.union(_EXTENSION).issuperset(text):
        return None
    return len(text) + sum(character in _EXTENSION for character in text)


def truncate(text: str, max_septets: int) -> str:
    """The longest beginning of a text of this alphabet that takes no more than `septets`."""
    while text and (gsm7_septets(text) or 0) > max_septets:
        text = text[:-1]
    return text
