"""The choice of a language by what a client prefers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.model.errors import InvalidField
from domain.model.language import SUPPORTED, negotiate_language, parse_locale


@pytest.mark.parametrize(
    ("accept_language", "language"),
    [
        ("de", "de"),
        ("DE-at", "de"),
        ("de-Latn-DE-1996", "de"),
        ("zh, fr;q=0.5", "fr"),
        ("en;q=0.2, it ; q=0.9", "it"),
        ("es, pt", "es"),
        ("de;q=0, fr;q=0.1", "fr"),
        ("zh", None),
        ("", None),
        ("*", None),
        ("*, de;q=0.5", None),
        ("de;q=2, d_e, ;;, fr;q=x", None),
        ("deutsch", None),
        ("x-de", None),
        (f"{'zh,' * 400}de", None),
    ],
)
def test_lookup_finds_the_preferred_language(accept_language, language):
    assert negotiate_language(accept_language) == language


@given(st.text(max_size=60) | st.text("ade-,;q=01.* ", max_size=30))
def test_any_header_has_a_language_or_none(accept_language):
    assert negotiate_language(accept_language) in (*SUPPORTED, None)


@pytest.mark.parametrize("tag", ["", "zh", "*", "de_DE", "de,fr", "x-de", "é", "de-", "a" * 9999])
def test_locale_without_a_supported_language_is_an_error(tag):
    with pytest.raises(InvalidField, match="not_supported"):
        parse_locale(tag)
