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


def make_context(**other: object) -> one_time_code.DerivationContext:
    valid: dict[str, object] = {
        "row_id": 1,
        "person_id": PERSON,
        "channel": Channel.EMAIL,
        "address_canonical": "ada@example.com",
        "salt": b"salt",
        "key_id": KEYS.signing_key.id,
    }
    return one_time_code.DerivationContext(**(valid | other))  # type: ignore[arg-type]  # of mixed types, by name


@pytest.mark.parametrize(
    "other",
    [
        {"row_id": 2},
        {"person_id": uuid4()},
        {"channel": Channel.PHONE},
        {"address_canonical": "eve@example.com"},
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


def test_link_token_is_parsed_and_invalid_ones_are_rejected():
    token = one_time_code.derive_link_token(KEYS, make_context(row_id=123_456))
    assert token is not None
    assert one_time_code.parse_link_token(token) == 123_456
    assert [
        one_time_code.parse_link_token(invalid)
        for invalid in ("", "x", "é" * 43, "!" * 43, token + "A")
    ] == [None] * 5
