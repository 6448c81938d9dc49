"""Names and hobbies: which text is blank, what is refused, and lengths."""

import sys
import unicodedata
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.model.errors import InvalidField
from domain.model.person import parse_hobbies, parse_name
from domain.model.unicode_text import is_visible

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b\u180e\u180f\u200b\u200c\u200d\u200e\u200f"
    "\u2060\u2061\u2064\u2065\u206a\u206f\u3164\ufe00\ufe0f\ufeff\uffa0\ufff0\ufff8\U0001bca0"
    "\U0001d173\U000e0000\U000e0001\U000e0020\U000e007f\U000e0100\U000e01ef\U000e0fff"
)
BLANK = "\u2800\U0001d159\U00016fe4\U00013441"
SPACES = " \t\n\r\x0b\x1c\x85\u00a0\u1680\u2000\u200a\u2007\u2028\u2029\u202f\u205f\u3000"
DIRECTIONAL = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def read(text: str) -> str:
    """Returns the name, or the code of the error in angle brackets."""
    try:
        return parse_name(text)
    except InvalidField as error:
        return f"<{error.code}>"


@pytest.mark.parametrize("character", IGNORABLE + BLANK + SPACES + DIRECTIONAL, ids=ascii)
def test_name_without_a_visible_character_is_blank(character):
    for text in (character, character * 3, f" {character} ", f"{character}\u3164{character}"):
        assert read(text) == "<blank>" or (
            # A line end between two others is a control character first.
            read(text) == "<control_characters>" and character in SPACES and "\u3164" in text
        )
    assert parse_hobbies(["chess", character]) == ("chess",)
    assert parse_hobbies(["chess", character * 60]) == ("chess",)


@pytest.mark.parametrize(
    "name",
    [
        "a", "O'Neil-\u6bdb", "Jos\u00e9", "\u0141ukasz", "\u5c0f\u5ddd", "X \u00c6 A-12",
        "\u0645\u0631\u06cc\u0645\u200c\u0633\u0627\u062f\u0627\u062a",  # Persian, with ZWNJ
        "\u0dc1\u0dca\u200d\u0dbb\u0dd3",  # Sinhala, with ZWJ
        "\u0d28\u0d4d\u200d",  # Malayalam, a chillu that ends in ZWJ
        "\u0e2a\u0e21\u200b\u0e0a\u0e32\u0e22",  # Thai, with ZWSP
        "\u05d3\u05d5\u05d3\u200e-X", "\u179f\u17bb\u1781", "\u1820\u180e\u1820",
        FAMILY, SCOTLAND, "\u2764\ufe0f", "1\ufe0f\u20e3", "\U0001f642\U0001f3fd",
        "\u845b\U000e0100",  # Japanese, with an ideographic variation selector
        "\uac00", "\u3131", "\u2803", "\U0001fae9",
        "\U0001f9ff\U0001f6d8",  # the latter is newer than Python 3.13
        "\ufffd",
    ],
)  # fmt: skip  # as a table
def test_name_of_any_script_is_kept(name):
    assert read(name) == name
    assert parse_hobbies([name]) == (name,)


@pytest.mark.parametrize(
    "margin", [*SPACES, *"\u200b\u2060\ufeff\u200e\u200f\u061c", *DIRECTIONAL], ids=ascii
)
def test_spaces_and_marks_around_a_name_are_trimmed(margin):
    assert read(f"{margin}Ada {margin}") == "Ada"


@pytest.mark.parametrize("character", DIRECTIONAL, ids=ascii)
def test_directional_formatting_is_dropped(character):
    assert read(f"Ada{character} Lovelace") == "Ada Lovelace"
    assert read(f"e{character}\u0301") == "\u00e9"  # before NFC


@pytest.mark.parametrize(
    "character",
    [
        *"\x00\x01\n\r\t\x1b\x7f\x80\x9f\u2028\u2029\ue000\uf8ff", "\ud800",
        "\ufdd0", "\ufdef", "\ufffe", "\uffff", "\U0001fffe", "\U000f0000", "\U0010ffff",
    ],
    ids=ascii,
)  # fmt: skip  # as a table
def test_code_point_that_is_no_character_of_a_line_is_refused(character):
    assert read(f"Ada{character}Lovelace") == "<control_characters>"
    with pytest.raises(InvalidField, match="control_characters"):
        parse_hobbies([f"a{character}b"])


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("e\u0301", 1),
        ("\u1112\u1161\u11ab", 1),
        ("\u212b", 1),
        ("\u0958", 2),  # NFC takes it apart
        ("\ufb2c", 3),
        ("\U0001d160", 3),
        ("\U0001f642", 1),
        (FAMILY, 5),
    ],
)
def test_length_is_counted_after_normalization(text, length):
    times = 100 // length
    assert len(parse_name(text * times)) == times * length
    assert read(text * (times + 1)) == "<too_long>"
    assert read(" " * 200 + text * times + "\u200b" * 200) != "<too_long>"
    with pytest.raises(InvalidField, match="too_long"):
        parse_hobbies([text * (times + 1)])


def test_long_text_is_not_normalized(monkeypatch: pytest.MonkeyPatch):
    """Python's time is quadratic in the number of combining characters."""

    def normalize(form: Literal["NFC"], text: str) -> str:
        assert len(text) <= 400
        return normalize_text(form, text)

    normalize_text = unicodedata.normalize
    monkeypatch.setattr(unicodedata, "normalize", normalize)
    assert read("a" + "\u0301\u0316" * 10_000) == "<too_long>"
    assert read("\u03b1\u0313\u0300\u0345" * 100) == "\u1f82" * 100


def test_only_visible_hobbies_count():
    assert parse_hobbies(["x"] * 50 + [" ", "\u200b", "\u3164"]) == ("x",) * 50
    assert parse_hobbies("chess\n\ufeff\n\u3000\r\ngo") == ("chess", "go")


@settings(deadline=None)  # other processes use the CPU too
@given(st.text(st.characters(exclude_categories=[]), max_size=120))
def test_any_text_is_a_name_that_fits_its_column_or_an_error(text):
    try:
        name = parse_name(text)
    except InvalidField:
        return
    assert 1 <= len(name) <= 100
    assert unicodedata.is_normalized("NFC", name)
    assert name == parse_name(name) == name.strip()
    assert name.encode()
    assert "\x00" not in name


def test_table_of_ignorable_code_points_has_the_format_characters():
    """Those of category Cf and all of Unicode's variation selectors are invisible."""
    for character in map(chr, range(sys.maxunicode + 1)):
        name = unicodedata.name(character, "")
        if unicodedata.category(character) == "Cf" or "VARIATION SELECTOR" in name:
            assert not is_visible(character)
        if name.startswith(("HANGUL", "HALFWIDTH HANGUL")) and name.endswith("FILLER"):
            assert not is_visible(character)
