"""Bearer tokens (RFC 6750): opaque to clients, verified without I/O.

A token is 75 bytes in base64url, 100 characters: format (1), key id (4), person id (16), the
person's version when it was issued (6), random (32), and 16 bytes of HMAC-SHA256 over all that. The
MAC rejects forged tokens before Redis is queried; the version shows readers how old a profile hash
may be; whether the session is active depends on its digest in that hash, or in Postgres.
"""

import binascii
import secrets
from base64 import urlsafe_b64encode
from binascii import a2b_base64
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Final
from uuid import UUID

from domain.model.errors import InvalidToken
from domain.model.keyring import KEY_ID_BYTES, Key, Keyring

TOKEN_LENGTH: Final = 100
MAX_SESSIONS = 10
_FORMAT: Final = 1
_TOKEN_BYTES: Final = 75
_MAC_BYTES: Final = 16
_VERSION_BYTES = 6
_PURPOSE: Final = b"session token"
_REFRESH_PURPOSE = b"refreshed session token"


# base64url to base64; the two characters that only base64 has are mapped to one in neither.
_BASE64URL_TO_BASE64 = bytes.maketrans(b"-_+/", b"+/**")


@dataclass(slots=True, init=False, repr=False)
class TokenClaims:
    """The claims of a verified token. `person_id_bytes` are the 16 bytes of the id."""

    person_id_bytes: bytes
    version: int
    digest: bytes

    # Written out: every read makes one, and a dataclass' own is not compiled (docs/performance.md).
    def __init__(self, person_id_bytes: bytes, version: int, digest: bytes) -> None:
        self.person_id_bytes = person_id_bytes
        self.version = version
        self.digest = digest

    def __repr__(self) -> str:
        return f"TokenClaims(version={self.version})"

    @property
    def person_id(self) -> UUID:
        """The person's id."""
        return UUID(bytes=self.person_id_bytes)


def issue_token(keyring: Keyring, person_id: UUID, version: int) -> tuple[str, bytes]:
    """Issues a token for a person; returns it and its SHA-256 digest, which is stored."""
    return _sign(keyring.signing_key, person_id, version, secrets.token_bytes(32))


def derive_refreshed_tokens(
    keyring: Keyring, token: str, person_id: UUID, version: int
) -> list[tuple[str, bytes]]:
    """Returns what may follow a token when it is refreshed, with the digests: by every key, the
    signing key's first.

    The random part is an HMAC over the token itself. So repeating a refresh gives the same new
    token, which is not stored; and what is stored, digests alone, gives it to no one.
    """
    return [
        _sign(key, person_id, version, key.mac(_REFRESH_PURPOSE, token.encode()))
        for key in keyring.keys
    ]


def _sign(key: Key, person_id: UUID, version: int, random: bytes) -> tuple[str, bytes]:
    start = bytes([_FORMAT]) + key.id + person_id.bytes
    claims = b"".join((start, version.to_bytes(_VERSION_BYTES), random))
    token = urlsafe_b64encode(claims + key.mac(_PURPOSE, claims)[:_MAC_BYTES])
    return token.decode(), sha256(token).digest()


def token_digest(token: str) -> bytes:
    """Returns the SHA-256 digest of a token, or of any text that was sent as one."""
    return sha256(token.encode(errors="replace")).digest()


def verify_token(keyring: Keyring, token: str) -> TokenClaims:
    """Verifies a token and returns its claims.

    Raises `InvalidToken` unless a key of the keyring has signed it.
    """
    encoded = token.encode(errors="replace")
    return verify_encoded_token(keyring, encoded, sha256(encoded).digest())


def verify_encoded_token(keyring: Keyring, token: bytes, digest: bytes) -> TokenClaims:
    """Does what `verify_token` does for a token whose SHA-256 digest is known already."""
    # Decoding skips characters outside the alphabet, which shows in the length: each token has one
    # spelling.
    if len(token) != TOKEN_LENGTH:
        raise InvalidToken
    try:
        raw = a2b_base64(token.translate(_BASE64URL_TO_BASE64))
    except binascii.Error:
        raise InvalidToken from None
    if len(raw) != _TOKEN_BYTES or raw[0] != _FORMAT:
        raise InvalidToken
    claims = raw[:-_MAC_BYTES]
    key = keyring.get(claims[1 : 1 + KEY_ID_BYTES])
    if key is None or not compare_digest(key.mac(_PURPOSE, claims)[:_MAC_BYTES], raw[-_MAC_BYTES:]):
        raise InvalidToken
    return TokenClaims(claims[5:21], int.from_bytes(claims[21:27]), digest)
