"""Languages that texts exist in, and the choice of one of them by RFC 4647 section 3.4 (lookup)."""

import re
from functools import lru_cache

from domain.model.errors import InvalidField

SUPPORTED = ("en", "es", "de", "fr", "pt", "it", "ar")
_TAG = re.compile(r"[a-z]{1,8}(-[a-z0-9]{1,8})*", re.IGNORECASE)  # RFC 4647 section 2.1
_QUALITY = re.compile(r"\s*q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*", re.IGNORECASE)
_MAX_HEADER_LENGTH = 500  # a longer one is cut: nothing that a browser sends


def find_language(tag: str) -> str | None:
    """Returns the supported language of a BCP 47 tag ("de" for "de-Latn-AT"), None if there is
    none.
    """
    if len(tag) > _MAX_HEADER_LENGTH or not _TAG.fullmatch(tag):
        return None
    subtags = tag.lower().split("-")
    candidates = ("-".join(subtags[:count]) for count in range(len(subtags), 0, -1))
    return next((each for each in candidates if each in SUPPORTED), None)


def parse_locale(tag: str) -> str:
    """Returns the supported language of a BCP 47 tag. Raises `InvalidField` if there is none."""
    language = find_language(tag)
    if language is None:
        raise InvalidField("not_supported", "This language is not supported.")
    return language


def negotiate_language(accept_language: str) -> str | None:
    """Returns the supported language that an `Accept-Language` (RFC 9110 section 12.5.4) prefers;
    None: the default is as good as any. Malformed ranges are ignored.
    """
    return _negotiate(accept_language[:_MAX_HEADER_LENGTH])


@lru_cache(1024)  # browsers repeat theirs
def _negotiate(accept_language: str) -> str | None:
    ranges: list[tuple[float, str]] = []
    for item in accept_language.split(","):
        tag, separator, parameter = item.partition(";")
        match = _QUALITY.fullmatch(parameter)
        if not separator or match:
            ranges.append((float(match[1]) if match else 1.0, tag.strip()))
    # Stable: of two with the same quality the first is preferred.
    for quality, tag in sorted(ranges, key=lambda each: -each[0]):
        if quality > 0 and (tag == "*" or find_language(tag)):
            return find_language(tag)
    return None
