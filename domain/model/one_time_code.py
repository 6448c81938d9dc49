"""One-time codes, and the tokens of links and sign-in challenges: derived, never stored.

Rules after NIST SP 800-63B-4 section 3.1.3 (out-of-band secrets: at least six digits, short lived,
single use, limited attempts) and OWASP ASVS 5 chapter 6. docs/security.md has the arithmetic.
"""

import binascii
import hmac
import secrets
import unicodedata
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from domain.model.address import Channel
from domain.model.keyring import Keyring
from domain.model.unicode_text import is_visible

MAX_ATTEMPTS = 5  # per code
# Guesses a day at six-digit codes that were sent to one address, by whomever they were requested.
# Once they are used up, or may be by the codes still open, further codes to it are long ones.
MAX_SHORT_CODE_GUESSES = 15
SHORT_CODE, LONG_CODE = 6, 10  # lengths: digits; Crockford base 32, 50 bits
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # https://www.crockford.com/base32.html
TOKEN_LENGTH = 43  # characters of base64url
_TYPED_AS = str.maketrans("OIL", "011", "-\u2010\u2011\u2012\u2013\u2014\u2212")
_MAX_TYPED_LENGTH = 100
CODE_LIFETIME = {Channel.EMAIL: timedelta(minutes=15), Channel.PHONE: timedelta(minutes=10)}
SIGN_IN_LIFETIME = timedelta(minutes=10)
LINK_LIFETIME = timedelta(hours=24)
CONFIRMATION, SIGN_IN = b"confirmation code", b"sign-in code"  # the purposes of codes
_ROW_ID_BYTES = 8
_TOKEN_MAC_BYTES = 24


class CodeSeed(NamedTuple):
    """What a row stores of its code: a random salt, and the id of the key to derive it from."""

    salt: bytes
    key_id: bytes

    def __repr__(self) -> str:
        return f"CodeSeed(key_id={self.key_id!r})"


@dataclass(frozen=True, slots=True, repr=False)
class DerivationContext:
    """The inputs of a code: the id and seed of a confirmation or sign-in challenge, and its
    address: in canonical form, or its keyed hash in hex where only that is stored.

    `code_length` is that of the code that was handed to a provider; None if none was.
    """

    row_id: int
    person_id: UUID
    channel: Channel
    address: str = field(repr=False)
    salt: bytes = field(repr=False)
    key_id: bytes
    code_length: int | None = None


def generate_seed(keyring: Keyring) -> CodeSeed:
    """Returns a new seed for a confirmation or sign-in challenge."""
    return CodeSeed(secrets.token_bytes(16), keyring.signing_key.id)


def choose_code_length(failures: int, open_guesses: int) -> int:
    """Returns the length of the next code to an address, which allows `MAX_ATTEMPTS` guesses.

    `failures`: wrong codes for that address in the last 24 hours; `open_guesses`: attempts that are
    left at six-digit codes sent to it.
    """
    is_short = failures + open_guesses + MAX_ATTEMPTS <= MAX_SHORT_CODE_GUESSES
    return SHORT_CODE if is_short else LONG_CODE


def derive_code(
    keyring: Keyring, context: DerivationContext, purpose: bytes = CONFIRMATION
) -> str | None:
    """Returns the code for a purpose; None if its key is not in the keyring, or if none was sent:
    it could be guessed without a message, as often as a person signs up.
    """
    mac = _compute_mac(keyring, context, purpose)
    if mac is None or context.code_length is None:
        return None
    number = int.from_bytes(mac[:8])
    if context.code_length == SHORT_CODE:
        return f"{number % 10**SHORT_CODE:0{SHORT_CODE}}"
    return "".join(_CROCKFORD[number >> 5 * i & 31] for i in range(LONG_CODE))


def normalize_code(text: str) -> str | None:
    """Returns a code as it is compared: upper case, digits of any script as those of ASCII, without
    spaces, hyphens and invisible marks, and with the digits that the letters O, I and L stand for.
    None if it cannot be a code.
    """
    if len(text) > _MAX_TYPED_LENGTH:
        return None
    visible = filter(is_visible, unicodedata.normalize("NFKC", text))
    code = "".join(str(unicodedata.decimal(c, c)) for c in visible).upper().translate(_TYPED_AS)
    if len(code) == SHORT_CODE and code.isascii() and code.isdigit():
        return code
    return code if len(code) == LONG_CODE and set(code) <= set(_CROCKFORD) else None


def format_code(code: str) -> str:
    """Returns a code as people read it: ten characters in two groups."""
    return code if len(code) == SHORT_CODE else f"{code[:5]}-{code[5:]}"


def derive_link_token(keyring: Keyring, context: DerivationContext) -> str | None:
    """Returns the token of a confirmation's e-mail link; None if its key is not in the keyring."""
    return _to_token(context.row_id, _compute_mac(keyring, context, b"confirmation link"))


def derive_challenge_token(keyring: Keyring, row_id: int, seed: CodeSeed) -> str | None:
    """Returns the token by which a client names a sign-in challenge; None if its key is not in the
    keyring. No other client can name it, and so use up its attempts.
    """
    key = keyring.get(seed.key_id)
    if key is None:
        return None
    return _to_token(row_id, key.mac(b"sign-in challenge", _pack(row_id), seed.salt))


def parse_token(token: str) -> int | None:
    """Returns the row id in the token of a link or challenge, without verifying it; None if
    malformed.
    """
    if len(token) != TOKEN_LENGTH or not token.isascii():
        return None
    try:
        raw = urlsafe_b64decode(token + "=")
    except binascii.Error:
        return None
    row_id = int.from_bytes(raw[:_ROW_ID_BYTES])
    # Decoding skips characters outside the alphabet; and Postgres has no id of 2**63 or more.
    return row_id if len(raw) == _ROW_ID_BYTES + _TOKEN_MAC_BYTES and row_id < 2**63 else None


def constant_time_equal(expected: str | None, actual: str) -> bool:
    """Compares two secrets in constant time; False if `expected` is None."""
    is_equal = hmac.compare_digest((expected or "").encode(), actual.encode())
    return is_equal and expected is not None


def _to_token(row_id: int, mac: bytes | None) -> str | None:
    if mac is None:
        return None
    raw = _pack(row_id) + mac[:_TOKEN_MAC_BYTES]
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _compute_mac(keyring: Keyring, context: DerivationContext, purpose: bytes) -> bytes | None:
    key = keyring.get(context.key_id)
    if key is None:
        return None
    return key.mac(
        purpose,
        context.person_id.bytes,
        context.channel.encode(),
        context.address.encode(),
        _pack(context.row_id),
        context.salt,
    )


def _pack(row_id: int) -> bytes:
    return row_id.to_bytes(_ROW_ID_BYTES)
