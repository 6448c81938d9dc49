"""Phone numbers as people copy them, and the countries that they belong to."""

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.model.errors import InvalidField
from domain.model.phone_number import is_in_countries, parse_e164

LONDON = "+442079460003"
MADRID = "+34666666003"
INVISIBLE = "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068"
INVISIBLE += "\u2069\u00ad\ufeff\ufe0f\u061c\u034f\u3164\u180e"
SPACES = (
    " \t\n\r\x0b\x0c\x85\u00a0\u1680\u2000\u2003\u2007\u2008\u2009\u200a\u202f\u205f\u3000\u2028"
)
DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2e3a\ufe58\ufe63\uff0d\u2043_"
SEPARATORS = SPACES + DASHES.replace("\u2043", "") + "./\u00b7\u2022\u2219\u30fb\uff0e\uff65"


def read(text: str, region: str | None = None) -> str:
    """Returns the number in E.164, or the code of the error."""
    try:
        return parse_e164(text, region)
    except InvalidField as error:
        return error.code


@pytest.mark.parametrize("character", sorted(set(INVISIBLE + SEPARATORS)), ids=ascii)
def test_marks_and_separators_are_dropped_anywhere(character):
    spellings = (
        "{0}+44 20 7946 0003",
        "+44 20 7946 0003{0}",
        "+{0}44{0}20{0}7946{0}0003",
        "+44{0}{0}2079460003",
    )
    for text in spellings:
        assert read(text.format(character)) == LONDON


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("\u202a+44 20 7946 0003\u202c", LONDON),
        ("\u2068\u200e+44\u00a020\u202f7946\u20110003\u2069", LONDON),
        ("\uff0b\uff14\uff14\u3000\uff12\uff10\uff0d\uff17\uff19\uff14\uff160003", LONDON),
        ("+\u0664\u0664 \u0662\u0660 \u0667\u0669\u0664\u0666 \u0660\u0660\u0660\u0663", LONDON),
        ("+\u06f4\u06f4 \u06f2\u06f0 \u06f7\u06f9\u06f4\u06f6 \u06f0\u06f0\u06f0\u06f3", LONDON),
        ("+\u096a\u096a 20 7946 0003", LONDON),
        ("\ufe6244 20 7946 0003", LONDON),
        ("\u2795" + "".join(f"{digit}\ufe0f\u20e3" for digit in "442079460003"), LONDON),
        ("(+44) 20 7946 0003", LONDON),
        ("\uff08+44\uff09 20 7946 0003", LONDON),
        ("[+44] 20/7946-0003", LONDON),
        ("\u260e\ufe0f +44 20 7946 0003", LONDON),
        ("+(44) 20 7946 0003", LONDON),
        ("+ 44 (20) 7946 0003", LONDON),
        ("+44.20.7946.0003.", LONDON),
        ("+44 (0)20 7946 0003", LONDON),
        ("+44 ( 0 ) 20 7946 0003", LONDON),
        ("+44\u00a0\uff080\uff0920 7946 0003", LONDON),
        ("+44 020 7946 0003", LONDON),
        ("+49 (0)151 23456789", "+4915123456789"),
        ("+34 (0) 666 666 003", MADRID),  # there are no trunk prefixes in Spain
        ("+352 (0)621 123 456", "+352621123456"),
        ("+351 (0) 912 345 678", "+351912345678"),
        ("+36 (06) 30 123 4567", "+36301234567"),
        ("+39 (0)6 1234 5678", "+390612345678"),  # in Italy the zero is dialled
        ("+39 (0)347 123 4567", "+393471234567"),  # but not with mobile numbers
        ("+225 (0)7 01 02 03 04", "+2250701020304"),
        ("tel:+34666666003", MADRID),
        ("TEL:+34-666-666-003", MADRID),
        ("\u200etel: +34 666 666 003", MADRID),
        ("tel://+34666666003", MADRID),
        ("tel:%2B34666666003", MADRID),
        ("tel:+34%20666%20666%20003", MADRID),
        ("tel:+34666666003;phone-context=+34", MADRID),
        ("tel:666-666-003;phone-context=+34", MADRID),
        ("tel:+34666666003;rn=+34600000000;npdi", MADRID),
        ("tel:+34666666003;isub=12;foo=bar", MADRID),
        ("tel:+34666666003?call", MADRID),
        ("+883 510 012 345 678", "+883510012345678"),  # 15 digits
        ("+800 1234 5678", "+80012345678"),
        ("\u200e" * 100 + "+34 666 666 003", MADRID),
    ],
)  # fmt: skip  # as a table
def test_number_is_read_as_people_copy_it(text, number):
    assert read(text) == number


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("+44 7946 0000", "invalid"),  # possible locally only
        ("+1 253 0000", "invalid"),
        ("+1 555 0100", "invalid"),
        ("+49151234567890123", "invalid"),  # 17 digits, which the German plan would allow
        ("+4915123456789012", "invalid"),
        ("+999 666 666 003", "invalid"),
        ("+34", "invalid"),
        ("+", "invalid"),
        ("++", "invalid"),
        ("+\u200e", "invalid"),
        ("\u200e", "country_code_missing"),
        ("", "country_code_missing"),
        ("666 666 003", "country_code_missing"),
        ("0034 666 666 003", "country_code_missing"),  # 00 is not every country's prefix
        ("tel:666666003", "country_code_missing"),
        ("tel:666666003;phone-context=example.com", "country_code_missing"),
        ("tel:", "country_code_missing"),
        ("tel:+34666666003;ext=5", "invalid"),
        ("tel:+34666666003;EXT=5", "invalid"),
        ("+34 666 666 003 x5", "invalid"),
        ("+34 666 666 003 ext. 5", "invalid"),
        ("+34 666 666 003 #5", "invalid"),
        ("+34 666 666 003,,5", "invalid"),
        ("+34 666 666 003;5", "invalid"),
        ("+34 666 666 003 / 666 666 004", "invalid"),
        ("+34 666 666 003 or 666 666 004", "invalid"),
        ("+34 666 666 00\u00b3", "invalid"),  # a footnote
        ("+34 666 666 003\u00b9", "invalid"),
        ("+34 666 666 00\u2462", "invalid"),
        ("+34 666\x00666 003", "invalid"),
        ("+34 666 666 003" + " " * 100 + "1", "invalid"),
    ],
)
def test_number_that_sms_cannot_reach_is_invalid(text, code):
    assert read(text) == code


def test_national_number_needs_a_default_region():
    assert read("(020) 7946 0003", "GB") == LONDON
    assert read("\u200e020\u00a07946\u20130003", "GB") == LONDON
    assert read("0034 666 666 003", "GB") == MADRID
    assert read("tel:666666003", "ES") == MADRID
    assert read("7946 0003", "GB") == "invalid"  # dialled within London only
    assert read("253 0000", "US") == "invalid"


def test_mobile_number_of_each_country_is_read_in_each_usual_form():
    forms = phonenumbers.PhoneNumberFormat
    for region in phonenumbers.SUPPORTED_REGIONS:
        example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
        if example is None:
            continue
        number = phonenumbers.format_number(example, forms.E164)
        for form in (forms.INTERNATIONAL, forms.RFC3966, forms.NATIONAL):
            assert read(phonenumbers.format_number(example, form), region) == number
        assert is_in_countries(number, {region})


@settings(deadline=None)  # other processes use the CPU too
@given(st.text(st.sampled_from("+0123456789()-. ;=x\u200e\u0660\uff11ext")).map("+{}".format))
def test_any_text_is_e164_or_an_error(text):
    result = read(text)
    assert result in ("invalid", "country_code_missing") or (
        result[0] == "+" and result[1:].isascii() and result[1:].isdecimal() and len(result) <= 16
    )


@settings(deadline=None)  # other processes use the CPU too
@given(st.text(max_size=80), st.sampled_from([None, "ES", "US"]))
def test_any_character_is_handled(text, region):
    assert read(text, region)


# --- countries -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "countries", "expected"),
    [
        ("+34666666003", "ES", True),
        ("+34666666003", "PT,ES", True),
        ("+34666666003", "PT", False),
        ("+34199999999", "ES", True),  # not valid, but Spain alone has that calling code
        ("+17642001234", "US", True),  # 764 is newer than the metadata
        ("+17642001234", "CA", True),
        ("+17642001234", "ES", False),
        ("+12125550100", "US", True),
        ("+12125550100", "CA", False),
        ("+14165550100", "US", False),  # Toronto
        ("+18765550100", "US", False),  # Jamaica
        ("+18765550100", "JM", True),
        ("+447400123456", "GB", True),
        ("+447400123456", "GG,JE,IM", False),
        ("+447781123456", "GB", False),  # Guernsey
        ("+447781123456", "GG", True),
        ("+447000000000", "GB", True),
        ("+79161234567", "RU", True),
        ("+77011234567", "RU", False),
        ("+77011234567", "KZ", True),
        ("+77991234567", "RU", False),  # not valid; +77 is Kazakhstan's all the same
        ("+393471234567", "IT", True),
        ("+390669812345", "VA", True),
        ("+212650123456", "MA", True),
        ("+4740612345", "NO", True),
        ("+4740612345", "SJ", True),  # Svalbard has no mobile numbers of its own
        ("+358412345678", "FI", True),
        ("+358412345678", "AX", True),  # nor has Aland
        ("+358181234567", "FI", False),
        ("+59995181234", "CW", True),
        ("+5993181234", "BQ", True),
        ("+5993181234", "CW", False),
        ("+883510012345678", "US", False),  # a network of no country
        ("+80012345678", "ES", False),
        ("+34666666003", "", False),
    ],
)
def test_number_belongs_to_the_countries_that_may_have_it(number, countries, expected):
    assert is_in_countries(number, countries.split(",")) is expected
