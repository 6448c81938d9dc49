"""Bearer tokens (RFC 6750): opaque to clients, and checked without any I/O.

A token is 75 octets in base64url, 100 characters: format (1), key id (4), person (16), the
person's version when it was issued (6), random (32), and 16 octets of HMAC-SHA256 over all that.
The MAC keeps junk away from Redis; the version tells a reader how old a profile hash may be;
whether the session still lives is said by its digest in that hash, or in Postgres.
"""

import binascii
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from domain.errors import InvalidToken
from domain.keys import KEY_ID_BYTES, KeyRing

TOKEN_CHARACTERS = 100
SESSIONS_MAX = 10
_FORMAT = b"\x01"
_MAC_BYTES = 16
_VERSION_BYTES = 6
_PURPOSE = b"session token"


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says, once its MAC was found right."""

    person_id: UUID
    version: int
    digest: bytes


def issue(keys: KeyRing, person_id: UUID, version: int) -> tuple[str, bytes]:
    """A new token for a person, and the SHA-256 digest by which it is remembered."""
    key = keys.current
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


def check(keys: KeyRing, token: str) -> Token:
    """What `token` says. Raises `InvalidToken` unless one of our keys has signed it."""
    if len(token) != TOKEN_CHARACTERS:
        raise InvalidToken
    try:
        encoded = token.encode("ascii")
        raw = urlsafe_b64decode(encoded)
    except (UnicodeEncodeError, binascii.Error):
        raise InvalidToken from None
    # b64decode skips characters outside the alphabet; one token must have one spelling only.
    if urlsafe_b64encode(raw) != encoded or raw[:1] != _FORMAT:
        raise InvalidToken
    claims, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    key = keys.get(claims[1 : 1 + KEY_ID_BYTES])
    if key is None or not hmac.compare_digest(key.mac(_PURPOSE, claims)[:_MAC_BYTES], mac):
        raise InvalidToken
    return Token(
        person_id=UUID(bytes=claims[5:21]),
        version=int.from_bytes(claims[21:27]),
        digest=sha256(encoded).digest(),
    )
