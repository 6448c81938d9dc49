"""One-time codes and links: derived when they are sent and when they are checked, never kept.

Rules after NIST SP 800-63B-4 section 3.1.3 (out-of-band secrets: at least six digits, short
lived, single use, tries limited) and OWASP ASVS 5 chapter 6.
"""

import binascii
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from domain.address import Channel
from domain.keys import Keyring

MAX_ATTEMPTS = 5  # of one code
MAX_FAILURES_PER_DAY = 15  # of all codes of a person and channel together
CODE_LENGTH = 6
SALT_BYTES = 16
CODE_LIFETIME = {Channel.EMAIL: timedelta(minutes=15), Channel.PHONE: timedelta(minutes=10)}
SIGN_IN_LIFETIME = timedelta(minutes=10)
LINK_LIFETIME = timedelta(hours=24)
_ROW_ID_BYTES = 8
_LINK_MAC_BYTES = 24


@dataclass(frozen=True, slots=True)
class DerivationContext:
    """What a code is derived from: a row of confirmations or sign-ins, its salt, and the address
    that it goes to.
    """

    row_id: int
    person_id: UUID
    channel: Channel
    address_canonical: str
    salt: bytes
    key_id: bytes


def generate_salt() -> bytes:
    """16 random octets for a new confirmation row."""
    return secrets.token_bytes(SALT_BYTES)


def derive_code(keyring: Keyring, context: DerivationContext) -> str | None:
    """The six digits for a row; None when its key is not on the ring any more."""
    mac = _compute_mac(keyring, context, b"confirmation code")
    return None if mac is None else _truncate(mac)


def derive_sign_in_code(keyring: Keyring, context: DerivationContext) -> str | None:
    """The six digits for a sign-in; None when its key is not on the ring any more."""
    mac = _compute_mac(keyring, context, b"sign-in code")
    return None if mac is None else _truncate(mac)


def derive_link_token(keyring: Keyring, context: DerivationContext) -> str | None:
    """The token in a row's e-mail link; None when its key is not on the ring any more."""
    mac = _compute_mac(keyring, context, b"confirmation link")
    if mac is None:
        return None
    return urlsafe_b64encode(
        context.row_id.to_bytes(_ROW_ID_BYTES) + mac[:_LINK_MAC_BYTES]
    ).decode()[:43]


def parse_link_token(token: str) -> int | None:
    """The row that a link token names, whether or not the token is right; None if malformed."""
    if len(token) != 43 or not token.isascii():
        return None
    try:
        raw = urlsafe_b64decode(token + "=")
    except binascii.Error:
        return None
    row_id = int.from_bytes(raw[:_ROW_ID_BYTES])
    # Decoding skips what is not in the alphabet; and Postgres has no row of 2**63 or more.
    return row_id if len(raw) == _ROW_ID_BYTES + _LINK_MAC_BYTES and row_id < 2**63 else None


def constant_time_equal(expected: str | None, actual: str) -> bool:
    """Whether `given` is the `expected` secret, in constant time (False when there is none)."""
    return expected is not None and hmac.compare_digest(expected.encode(), actual.encode())


def _truncate(mac: bytes) -> str:
    return f"{int.from_bytes(mac[:8]) % 10**CODE_LENGTH:0{CODE_LENGTH}}"


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
