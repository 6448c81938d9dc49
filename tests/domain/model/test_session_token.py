"""Session tokens and codes, without a server."""

from uuid import uuid4

import pytest

from domain.model import one_time_code, session_token
from domain.model.address import Channel
from domain.model.errors import InvalidToken
from domain.model.keyring import Keyring

KEYS = Keyring(["one secret"])
PERSON = uuid4()


def find_token(characters: str) -> str:
    return next(
        token
        for token, _ in (session_token.issue_token(KEYS, PERSON, 7) for _ in range(1000))
        if any(character in token for character in characters)
    )


def test_token_contains_person_and_version():
    token, digest = session_token.issue_token(KEYS, PERSON, 7)
    assert session_token.verify_token(KEYS, token) == session_token.TokenClaims(
        PERSON.bytes, 7, digest
    )
    assert (
        session_token.verify_token(Keyring(["a newer secret", "one secret"]), token).digest
        == digest
    )


def test_token_has_one_canonical_encoding():
    for own, other in (("-", "+"), ("_", "/")):
        token = find_token(own)
        session_token.verify_token(KEYS, token)
        with pytest.raises(InvalidToken):
            session_token.verify_token(KEYS, token.replace(own, other))


def test_token_with_any_flipped_bit_is_rejected():
    token, _ = session_token.issue_token(KEYS, PERSON, 7)
    for index, bit in ((index, 1 << bit) for index in range(len(token)) for bit in range(7)):
        altered = token[:index] + chr(ord(token[index]) ^ bit) + token[index + 1 :]
        with pytest.raises(InvalidToken):
            session_token.verify_token(KEYS, altered)


def test_token_of_another_key_is_rejected():
    token, _ = session_token.issue_token(Keyring(["another secret"]), PERSON, 7)
    with pytest.raises(InvalidToken):
        session_token.verify_token(KEYS, token)


def test_refreshed_token_follows_from_the_old_one_and_a_key():
    old, _ = session_token.issue_token(KEYS, PERSON, 7)
    both = Keyring(["a newer secret", "one secret"])
    newer, own = session_token.derive_refreshed_tokens(both, old, PERSON, 8)
    assert session_token.derive_refreshed_tokens(KEYS, old, PERSON, 8) == [own]
    assert session_token.verify_token(KEYS, own[0]) == session_token.TokenClaims(
        PERSON.bytes, 8, own[1]
    )
    assert session_token.verify_token(both, newer[0]).digest == newer[1] != own[1]
    other, _ = session_token.issue_token(KEYS, PERSON, 7)
    assert session_token.derive_refreshed_tokens(KEYS, other, PERSON, 8) != [own]


def make_context(**other: object) -> one_time_code.DerivationContext:
    valid: dict[str, object] = {
        "row_id": 1,
        "person_id": PERSON,
        "channel": Channel.EMAIL,
        "address": "ada@example.com",
        "salt": b"salt",
        "key_id": KEYS.signing_key.id,
        "code_length": 6,
    }
    return one_time_code.DerivationContext(**(valid | other))  # type: ignore[arg-type]  # of mixed types, by name


@pytest.mark.parametrize(
    "other",
    [
        {"row_id": 2},
        {"person_id": uuid4()},
        {"channel": Channel.PHONE},
        {"address": "eve@example.com"},
        {"salt": b"other"},
    ],
)
def test_code_and_link_depend_on_every_derivation_input(other):
    assert one_time_code.derive_code(KEYS, make_context()) == one_time_code.derive_code(
        KEYS, make_context()
    )
    assert one_time_code.derive_code(KEYS, make_context()) != one_time_code.derive_code(
        KEYS, make_context(**other)
    )
    assert one_time_code.derive_link_token(KEYS, make_context()) != one_time_code.derive_link_token(
        KEYS, make_context(**other)
    )


def test_codes_have_six_uniformly_distributed_digits():
    codes = [one_time_code.derive_code(KEYS, make_context(row_id=n)) or "" for n in range(5000)]
    assert {len(c) for c in codes} == {6}
    assert all(c.isdigit() for c in codes)
    assert len(set(codes)) > 4950
    assert all(400 < sum(c[0] == digit for c in codes) < 600 for digit in "0123456789")


def test_long_codes_have_ten_uniformly_distributed_characters():
    contexts = [make_context(row_id=n, code_length=10) for n in range(3200)]
    codes = [one_time_code.derive_code(KEYS, context) or "" for context in contexts]
    assert {len(c) for c in codes} == {10}
    assert len(set(codes)) == 3200
    alphabet = set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    assert all(50 < sum(c[place] == sign for c in codes) < 150 for sign in alphabet
               for place in (0, 9))  # fmt: skip  # one glance


def test_code_that_was_not_sent_is_not_derived():
    assert one_time_code.derive_code(KEYS, make_context(code_length=None)) is None


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("123456", "123456"),
        (" 123 456 ", "123456"),
        ("abcde-fghjk", "ABCDEFGHJK"),
        ("ab cd-eo il kz", "ABCDE011KZ"),
        ("12345", None),
        ("1234567", None),
        ("ABCDEFGHJU", None),
        ("\u0661\u0662\u0663\u0664\u0665\u0666", "123456"),
        ("\u200e\uff11\uff12\uff13\u00a0\uff14\uff15\uff16\u202c", "123456"),
        ("abcde\u2013fghjk", "ABCDEFGHJK"),
        ("\u00bd23456", None),
        ("", None),
    ],
)
def test_typed_codes_are_normalized(typed, code):
    assert one_time_code.normalize_code(typed) == code


def test_link_token_is_parsed_and_invalid_ones_are_rejected():
    token = one_time_code.derive_link_token(KEYS, make_context(row_id=123_456))
    assert token is not None
    assert one_time_code.parse_token(token) == 123_456
    assert [
        one_time_code.parse_token(invalid) for invalid in ("", "x", "é" * 43, "!" * 43, token + "A")
    ] == [None] * 5
