"""The GSM 7-bit alphabet of text messages (3GPP TS 23.038 section 6.2.1), and their segments."""

import unicodedata

SEGMENT_SEPTETS = 160
# A longer text is sent in parts that have a header, and is paid for by the part.
_PART_SEPTETS = 153
_SEGMENT_UNITS, _PART_UNITS = 70, 67  # of UTF-16, with a character outside the alphabet

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("\f^{}\\[~]|€")  # each takes two septets, of which one is an escape
_ALPHABET = _BASIC | _EXTENSION
_MIN_TRUNCATED = 6  # fewer septets of a name tell its owner nothing


def is_gsm7(text: str) -> bool:
    """Checks that all characters are in the alphabet."""
    return _ALPHABET.issuperset(text)


def count_septets(text: str) -> int:
    """Counts the septets of a text of this alphabet."""
    return len(text) + sum(character in _EXTENSION for character in text)


def count_segments(text: str) -> int:
    """Counts the segments that a text is sent in, and paid for."""
    if is_gsm7(text):
        size, whole, part = count_septets(text), SEGMENT_SEPTETS, _PART_SEPTETS
    else:
        size, whole, part = len(text.encode("utf-16-le")) // 2, _SEGMENT_UNITS, _PART_UNITS
    return 1 if size <= whole else -(-size // part)


def remove_accents(text: str) -> str:
    """Returns a text without the accents that the alphabet lacks (it has "é" but not "ë")."""
    return "".join(c if c in _ALPHABET else _without_accent(c) for c in text)


def to_gsm7(text: str, max_septets: int) -> str:
    """Converts a text to at most `max_septets` of the alphabet, '' if that is not possible: removes
    accents, and truncates.
    """
    text = remove_accents(text)
    if not is_gsm7(text):
        return ""
    if count_septets(text) <= max_septets:
        return text
    if max_septets < _MIN_TRUNCATED:
        return ""
    while count_septets(text) > max_septets - 2:
        text = text[:-1]
    return f"{text.rstrip()}.."


def _without_accent(character: str) -> str:
    parts = unicodedata.normalize("NFKD", character)
    return "".join(part for part in parts if not unicodedata.combining(part))
