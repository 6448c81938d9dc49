"""Session tokens and codes, by themselves: plain Python, no server."""

from uuid import uuid4

import pytest

from domain import code, session
from domain.address import Channel
from domain.errors import InvalidToken
from domain.keys import Keyring

KEYS = Keyring(["one secret"])
PERSON = uuid4()


def token_with(characters: str) -> str:
    return next(
        token
        for token, _ in (session.issue_token(KEYS, PERSON, 7) for _ in range(1000))
        if any(character in token for character in characters)
    )


def test_a_token_says_whose_it_is_and_how_old_a_profile_may_be():
    token, digest = session.issue_token(KEYS, PERSON, 7)
    assert session.verify_token(KEYS, token) == session.TokenClaims(PERSON.bytes, 7, digest)
    assert session.verify_token(Keyring(["a newer secret", "one secret"]), token).digest == digest


def test_a_token_has_one_spelling_only():
    for ours, other in (("-", "+"), ("_", "/")):
        token = token_with(ours)
        session.verify_token(KEYS, token)
        with pytest.raises(InvalidToken):
            session.verify_token(KEYS, token.replace(ours, other))


def test_no_bit_of_a_token_can_be_turned():
    token, _ = session.issue_token(KEYS, PERSON, 7)
    for at, bit in ((at, 1 << bit) for at in range(len(token)) for bit in range(7)):
        turned = token[:at] + chr(ord(token[at]) ^ bit) + token[at + 1 :]
        with pytest.raises(InvalidToken):
            session.verify_token(KEYS, turned)


def test_a_token_of_another_servers_key_is_refused():
    token, _ = session.issue_token(Keyring(["another secret"]), PERSON, 7)
    with pytest.raises(InvalidToken):
        session.verify_token(KEYS, token)


def seed(**other: object) -> code.DerivationContext:
    right: dict[str, object] = {
        "row_id": 1,
        "person_id": PERSON,
        "channel": Channel.EMAIL,
        "address_canonical": "ada@example.com",
        "salt": b"salt",
        "key_id": KEYS.signing_key.id,
    }
    return code.DerivationContext(**(right | other))  # type: ignore[arg-type]  # of mixed types, by name


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
def test_a_code_and_a_link_hang_on_all_that_they_are_derived_from(other):
    assert code.derive_code(KEYS, seed()) == code.derive_code(KEYS, seed())
    assert code.derive_code(KEYS, seed()) != code.derive_code(KEYS, seed(**other))
    assert code.derive_link_token(KEYS, seed()) != code.derive_link_token(KEYS, seed(**other))


def test_codes_have_six_digits_and_are_spread_evenly():
    codes = [code.derive_code(KEYS, seed(row_id=n)) or "" for n in range(5000)]
    assert {len(c) for c in codes} == {6}
    assert all(c.isdigit() for c in codes)
    assert len(set(codes)) > 4950
    assert all(400 < sum(c[0] == digit for c in codes) < 600 for digit in "0123456789")


def test_a_link_names_its_row_and_junk_names_none():
    token = code.derive_link_token(KEYS, seed(row_id=123_456))
    assert token is not None
    assert code.parse_link_token(token) == 123_456
    assert [code.parse_link_token(junk) for junk in ("", "x", "é" * 43, "!" * 43, token + "A")] == [
        None
    ] * 5
