"""E-mail addresses: which are equal, and their lengths."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.model.address import EMAIL_MAX_BYTES, parse_email
from domain.model.errors import InvalidField

COLUMN_LENGTH = 300  # of canonical addresses
LENGTHENING = "\u00e4\u00df\u0130\u0131\u0345\u0390\u03c2\ufb03\u1fb7\u212a"  # by case or form


def read(text: str) -> str:
    """Returns the canonical address, or the code of the error."""
    try:
        return parse_email(text).canonical
    except InvalidField as error:
        return error.code


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada@Example.COM", "aDA@example.com"),
        ("ada@FAß.de", "ada@faß.de"),
        ("ada@faß.de", "ada@xn--fa-hia.de"),
        ("ada@faß.de", "ADA@XN--FA-HIA.DE"),
        ("ada@EXÄMPLE.com", "ada@exämple.com"),
        ("ada@exa\u0308mple.com", "ada@ex\u00e4mple.com"),
        ("ada@ex\u00e4mple.com", "ada@xn--exmple-cua.com"),
        ("ada@\u03a3\u0391.gr", "ada@\u03c3\u03b1.gr"),
        ("ada@example\u3002com", "ada@example.com"),
        ("ada@example\uff0ecom", "ada@example.com"),
        ("ada@example\uff61com", "ada@example.com"),
        ("ada@\uff25xample.com", "ada@example.com"),
        ("A\u030ada@example.com", "\u00c5da@example.com"),
        ("\u212bda@example.com", "\u00c5da@example.com"),
        ("\u212aate@example.com", "kate@example.com"),  # NFC itself makes the Kelvin sign a K
        ("\u00c5DA@example.com", "\u00c5da@example.com"),
        (" ada@example.com\u00a0", "ada@example.com"),
        ("\u200e\ufeffada@example.com\u200b", "ada@example.com"),
    ],
)
def test_addresses_of_one_mailbox_are_equal(one, other):
    assert "@" in read(one)
    assert read(one) == read(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ada@faß.de", "ada@fass.de"),
        ("ada@stra\u1e9ee.de", "ada@strasse.de"),
        ("ada@\u03c3\u03b1\u03c2.gr", "ada@\u03c3\u03b1\u03c3.gr"),
        ("ada@\u0131stanbul.com", "ada@istanbul.com"),
        ("ada@\u0130stanbul.com", "ada@istanbul.com"),
        ("stra\u00dfe@example.com", "strasse@example.com"),
        ("\u1e9e@example.com", "\u00df@example.com"),
        ("\u00c5da@example.com", "\u00e5da@example.com"),
        ("\u00c5da@example.com", "ada@example.com"),
        ("\u0130da@example.com", "ida@example.com"),
        ("\u0131da@example.com", "ida@example.com"),
        ("\u0130da@example.com", "i\u0307da@example.com"),
        ("\u017fam@example.com", "sam@example.com"),
        ("o\ufb03ce@example.com", "office@example.com"),
        ("\u03c3@example.com", "\u03c2@example.com"),
        ("\uff41da@example.com", "ada@example.com"),
        ("ada+x@example.com", "ada@example.com"),
        ("a.da@gmail.com", "ada@gmail.com"),
    ],
)
def test_addresses_of_other_mailboxes_are_not_equal(one, other):
    assert "@" in read(one)
    assert "@" in read(other)
    assert read(one) != read(other)


@pytest.mark.parametrize(
    "text",
    [
        "ada@example.com.", "ada@example..com", '"ada"@example.com', "ada@exa\u200bmple.com",
        "ada@exam\u00adple.com", "a\u200dda@example.com", "\u202eada@example.com",
        "ada\uff20example.com", "ada@xn--zzzz.de", "ada@xn--a.de", "ada@\u2488com.com",
    ],
)  # fmt: skip  # a list to be read at a glance
def test_address_that_may_mean_several_is_invalid(text):
    assert read(text) == "invalid"


def test_address_keeps_the_spelling_of_its_local_part():
    assert parse_email("Ada.B+x@FAß.de").value == "Ada.B+x@faß.de"


def test_limit_is_254_bytes_of_each_form():
    """As typed, normalized, and with the domain as an A-label."""
    domain = "@" + ".".join(["b" * 63] * 3)
    longest = "a" * (EMAIL_MAX_BYTES - len(domain) - 4) + domain + ".com"
    assert read(longest) == longest
    assert read("a" + longest) in ("invalid", "too_long")
    assert read("\u00e4" + longest[1:]) in ("invalid", "too_long")
    # Such a label is 63 bytes as an A-label.
    labels = ".".join(["\u00e4" + "b" * 55] * 3)
    assert len(read(f"a@{labels}.com")) == len("a@.com") + 3 * 63 + 2
    assert read("a" * 64 + f"@{labels}.com") in ("invalid", "too_long")


@settings(deadline=None)  # other processes use the CPU too
@given(
    local=st.text(st.sampled_from("aAz.+" + LENGTHENING), max_size=70),
    domain=st.text(st.sampled_from("aZ.-\u200d\uff0e" + LENGTHENING), max_size=250),
)
def test_address_fits_its_columns(local, domain):
    try:
        address = parse_email(f"{local}@{domain}.com")
    except InvalidField:
        return
    assert len(address.value.encode()) <= EMAIL_MAX_BYTES
    assert len(address.canonical) <= COLUMN_LENGTH
    assert parse_email(address.value) == address
    assert parse_email(address.canonical).canonical == address.canonical
