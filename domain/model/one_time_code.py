"""One-time codes and link tokens: derived when sent and when checked, never stored.

Rules after NIST SP 800-63B-4 section 3.1.3 (out-of-band secrets: at least six digits, short lived,
single use, limited attempts) and OWASP ASVS 5 chapter 6.
"""

import binascii
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from domain.model.address import Channel
from domain.model.keyring import Keyring

MAX_ATTEMPTS = 5  # per code
MAX_FAILURES_PER_DAY = 15  # of all codes of a person and channel together
CODE_LENGTH = 6
CODE_LIFETIME = {Channel.EMAIL: timedelta(minutes=15), Channel.PHONE: timedelta(minutes=10)}
SIGN_IN_LIFETIME = timedelta(minutes=10)
LINK_LIFETIME = timedelta(hours=24)
CONFIRMATION, SIGN_IN = b"confirmation code", b"sign-in code"  # the purposes of codes
_ROW_ID_BYTES = 8
_LINK_MAC_BYTES = 24


class CodeSeed(NamedTuple):
    """What a row stores of its code: a random salt, and the id of the key to derive it from."""

    salt: bytes
    key_id: bytes

    def __repr__(self) -> str:
        return f"CodeSeed(key_id={self.key_id!r})"


@dataclass(frozen=True, slots=True, repr=False)
class DerivationContext:
    """The inputs of a code: the id and seed of a confirmation or sign-in challenge, and its
    address.
    """

    row_id: int
    person_id: UUID
    channel: Channel
    address_canonical: str
    salt: bytes
    key_id: bytes


def generate_seed(keyring: Keyring) -> CodeSeed:
    """Returns a new seed for a confirmation or sign-in challenge."""
    return CodeSeed(secrets.token_bytes(16), keyring.signing_key.id)


def derive_code(
    keyring: Keyring, context: DerivationContext, purpose: bytes = CONFIRMATION
) -> str | None:
    """Returns the six digits for a purpose; None if the key is not in the keyring."""
    mac = _compute_mac(keyring, context, purpose)
    if mac is None:
        return None
    return f"{int.from_bytes(mac[:8]) % 10**CODE_LENGTH:0{CODE_LENGTH}}"


def derive_link_token(keyring: Keyring, context: DerivationContext) -> str | None:
    """Returns the token of a confirmation's e-mail link; None if its key is not in the keyring."""
    mac = _compute_mac(keyring, context, b"confirmation link")
    if mac is None:
        return None
    raw = context.row_id.to_bytes(_ROW_ID_BYTES) + mac[:_LINK_MAC_BYTES]
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def parse_link_token(token: str) -> int | None:
    """Returns the confirmation id in a link token, without verifying it; None if malformed."""
    if len(token) != 43 or not token.isascii():
        return None
    try:
        raw = urlsafe_b64decode(token + "=")
    except binascii.Error:
        return None
    row_id = int.from_bytes(raw[:_ROW_ID_BYTES])
    # Decoding skips characters outside the alphabet; and Postgres has no id of 2**63 or more.
    return row_id if len(raw) == _ROW_ID_BYTES + _LINK_MAC_BYTES and row_id < 2**63 else None


def constant_time_equal(expected: str | None, actual: str) -> bool:
    """Compares two secrets in constant time; False if `expected` is None."""
    return expected is not None and hmac.compare_digest(expected.encode(), actual.encode())


def _compute_mac(keyring: Keyring, context: DerivationContext, purpose: bytes) -> bytes | None:
    key = keyring.get(context.key_id)
    if key is None:
        return None
    return key.mac(
        purpose,
        context.person_id.bytes,
        context.channel.encode(),
        context.address_canonical.encode(),
        context.row_id.to_bytes(_ROW_ID_BYTES),
        context.salt,
    )
