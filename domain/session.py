"""Bearer tokens (RFC 6750): opaque to clients, and checked without any I/O.

A token is 75 octets in base64url, 100 characters: format (1), key id (4), person (16), the
person's version when it was issued (6), random (32), and 16 octets of HMAC-SHA256 over all that.
The MAC keeps junk away from Redis; the version tells a reader how old a profile hash may be;
whether the session still lives is said by its digest in that hash, or in Postgres.
"""

import binascii
import hmac
import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from domain.errors import InvalidToken
from domain.keys import KEY_ID_BYTES, Keyring

TOKEN_LENGTH = 100
MAX_SESSIONS = 10
_FORMAT = b"\x01"
_TOKEN_BYTES = 75
_MAC_BYTES = 16
_VERSION_BYTES = 6
_PURPOSE = b"session token"


# base64url to base64; the two characters that only the latter has become ones that neither has.
_BASE64URL_TO_BASE64 = bytes.maketrans(b"-_+/", b"+/**")


class TokenClaims(NamedTuple):
    """What a token says, once its MAC was found right. `person` are the 16 octets of the id."""

    person_id_bytes: bytes
    version: int
    digest: bytes

    @property
    def person_id(self) -> UUID:
        """The person's id."""
        return UUID(bytes=self.person_id_bytes)


def issue_token(keyring: Keyring, person_id: UUID, version: int) -> tuple[str, bytes]:
    """A new token for a person, and the SHA-256 digest by which it is remembered."""
    key = keyring.signing_key
    claims = b"".join(
        (
            _FORMAT,
            key.id,
            person_id.bytes,
            version.to_bytes(_VERSION_BYTES),
            secrets.token_bytes(32),
        )
    )
    token = urlsafe_b64encode(claims + key.mac(_PURPOSE, claims)[:_MAC_BYTES])
    return token.decode(), sha256(token).digest()


def token_digest(token: str) -> bytes:
    """The SHA-256 by which a token, or whatever was sent as one, is remembered."""
    return sha256(token.encode(errors="replace")).digest()


def verify_token(keyring: Keyring, token: str, digest: bytes | None = None) -> TokenClaims:
    """What `token` says; `digest` is its own, if that is known already.

    Raises `InvalidToken` unless one of our keys has signed it.
    """
    try:
        raw = binascii.a2b_base64(token.encode("ascii").translate(_BASE64URL_TO_BASE64))
    except (UnicodeEncodeError, binascii.Error):
        raise InvalidToken from None
    # What is not in the alphabet is skipped, and missed in the length: one token, one spelling.
    if len(token) != TOKEN_LENGTH or len(raw) != _TOKEN_BYTES or raw[:1] != _FORMAT:
        raise InvalidToken
    claims, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    key = keyring.get(claims[1 : 1 + KEY_ID_BYTES])
    if key is None or not hmac.compare_digest(key.mac(_PURPOSE, claims)[:_MAC_BYTES], mac):
        raise InvalidToken
    return TokenClaims(claims[5:21], int.from_bytes(claims[21:27]), digest or token_digest(token))
