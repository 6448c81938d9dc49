"""Phone numbers: parsing as people write and copy them, and the countries that they belong to."""

import re
import unicodedata
from collections.abc import Collection
from urllib.parse import unquote

import phonenumbers
from phonenumbers import PhoneNumber, ValidationResult

from domain.model.errors import InvalidField
from domain.model.unicode_text import is_visible, trim

_MAX_INPUT_LENGTH = 64
_MAX_LENGTH = 1 + 15  # E.164 section 6: a plus and at most 15 digits
_TEL_URI = re.compile(r"tel:(?P<number>[^;?]*)(?P<parameters>[^?]*)", re.IGNORECASE)
_CONTEXT = re.compile(r";phone-context=(\+[^;]*)", re.IGNORECASE)
_EXTENSION = re.compile(r";ext=[^;]*", re.IGNORECASE)
_PLAIN = re.compile(r"\+?[0-9]+")  # has nothing to simplify
_PLUS = re.compile(r"\W*\+")  # after brackets, or a telephone sign
_TRUNK_ZERO = re.compile(r"\(\s*0\s*\)")
_DOTS_AND_MINUS = "\u00b7\u2022\u2024\u2027\u2219\u22c5\u30fb\uff65\u2212"
_EMOJI_PLUS = "\u2795"
_SEPARATOR_CATEGORIES = {"Zs", "Zl", "Zp", "Pd", "Pc"}


def parse_e164(text: str, default_region: str | None = None) -> str:
    """Parses a phone number into E.164; without `+` it needs a `default_region` (ISO 3166-1).

    Spaces, dashes, brackets and invisible marks are dropped, any script's digits read, and a `tel`
    URI (RFC 3966) is taken apart. Raises `InvalidField` (`invalid`, `country_code_missing`).
    """
    invalid = InvalidField("invalid", "This is not a possible phone number of its country.")
    text = _strip_tel_uri(trim(text))
    if not _PLAIN.fullmatch(text):
        text = "".join(map(_simplify, text)).strip()
    if len(text) > _MAX_INPUT_LENGTH:
        raise invalid
    if not _PLUS.match(text) and default_region is None:
        raise InvalidField("country_code_missing", "Begin with + and the country code.")
    try:
        number = _parse_trunk_zero(text, default_region)
    except phonenumbers.NumberParseException:
        raise invalid from None
    # A number that only neighbours could dial is not possible as E.164. SMS cannot dial an
    # extension, and E.164 would silently drop it.
    reason = phonenumbers.is_possible_number_with_reason(number)
    e164 = str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
    if number.extension or reason != ValidationResult.IS_POSSIBLE or len(e164) > _MAX_LENGTH:
        raise invalid
    return e164


def _strip_tel_uri(text: str) -> str:
    """Returns the number of a `tel` URI with its context and extension; another text as it is."""
    if not (uri := _TEL_URI.match(text)):
        return text
    number, parameters = unquote(uri["number"]), uri["parameters"]
    if (context := _CONTEXT.search(parameters)) and "+" not in number:
        number = context[1] + number
    extension = _EXTENSION.search(parameters)
    return number + (extension[0] if extension else "")


def _simplify(character: str) -> str:
    """Returns a character as the library knows it: an ASCII digit, a separator, or nothing."""
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category in _SEPARATOR_CATEGORIES or character in _DOTS_AND_MINUS or character.isspace():
        return " "
    if category in ("Mn", "Me") or (category != "Cc" and not is_visible(character)):
        return ""
    if character == _EMOJI_PLUS:
        return "+"
    # Full-width and small forms of plus and brackets, but no footnotes: superscripts are numbers.
    return unicodedata.normalize("NFKC", character) if category in ("Sm", "Ps", "Pe") else character


def _parse_trunk_zero(text: str, default_region: str | None) -> PhoneNumber:
    """Parses a number with a `(0)`, as in +44 (0)20, which most countries omit and some dial: the
    valid reading counts.
    """
    without = phonenumbers.parse(_TRUNK_ZERO.sub("", text, count=1), default_region)
    if not _TRUNK_ZERO.search(text) or phonenumbers.is_valid_number(without):
        return without
    return phonenumbers.parse(text, default_region)


def is_in_countries(number: str, countries: Collection[str]) -> bool:
    """Returns whether an E.164 number may be one of these countries' (ISO 3166-1).

    Countries share calling codes, and some numbers too (mobile phones of Finland and Aland). A
    number that the metadata has in none, such as one with a new area code, may be of any country
    with its calling code.
    """
    parsed = phonenumbers.parse(number)
    regions = phonenumbers.region_codes_for_country_code(parsed.country_code or 0)
    candidates = [region for region in regions if region in countries]
    if any(phonenumbers.is_valid_number_for_region(parsed, region) for region in candidates):
        return True
    region = phonenumbers.region_code_for_number(parsed)  # of +77 Kazakhstan, valid or not
    return bool(candidates) if region is None else region in countries
