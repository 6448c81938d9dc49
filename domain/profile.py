"""The profile hash: the format in Redis, and how readers decode it.

    key      p:<person, 32 hex digits>
    b        the profile's body, the bytes that are sent
    e        its ETag
    v        the person's version
    <digest> for each active session: SHA-256 of its token -> its expiry, in Unix seconds;
             for a while also for a revoked one: minus the Unix time until which that is kept

One HMGET of `b`, `e`, `v` and the caller's digest authenticates, authorizes and reads. The
tombstone of an erased person has empty `b` and `e`, the last version in `v`, and the Unix time in
`t`. Its version keeps late writes of older states out.
"""

from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from hashlib import sha256
from uuid import UUID

import orjson

from domain.model.errors import InvalidToken
from domain.model.person import Person, Tombstone
from domain.model.session_token import TokenClaims

BODY, ETAG, VERSION, DELETED_AT = b"b", b"e", b"v", b"t"
DIGEST_BYTES = 32  # no other field has a name of that length
KEY_PATTERN = "p:" + "[0-9a-f]" * 32  # a glob for SCAN
FIELD_COUNT = 4  # of one read
_URL_SAFE = bytes.maketrans(b"+/", b"-_")  # base64 to base64url


class CacheMiss(Exception):
    """The hash is missing, or older than the token."""


def backfill_queue(hash_tag: str = "") -> str:
    """Returns the key of a primary's backfill queue, a sorted set: person -> number of missed
    reads. `hash_tag` as in `domain.fence.fence_key`.
    """
    return f"profile:backfill:{{{hash_tag}}}" if hash_tag else "profile:backfill"


def redis_key(person_id: UUID) -> str:
    """Returns the Redis key of a person's profile hash."""
    return f"p:{person_id.hex}"


def redis_key_for_token(claims: TokenClaims) -> str:
    """Returns the Redis key of the profile hash of the token's person."""
    return f"p:{claims.person_id_bytes.hex()}"


def parse_redis_key(key: bytes) -> UUID:
    """Returns the person id of a profile hash's key; the inverse of `redis_key`."""
    return UUID(hex=key[2:].decode())


def hmget_fields(claims: TokenClaims) -> list[bytes]:
    """Returns the fields that a read requests by HMGET, in the order of `decode_reply`."""
    return [BODY, ETAG, VERSION, claims.digest]


def to_public_dict(person: Person) -> dict[str, object]:
    """Returns the public fields of a profile, in the order of the HTTP contract."""
    return {
        "name": person.name,
        "surname": person.surname,
        "email": person.email,
        "phone": person.phone,
        "hobbies": person.hobbies,
        "email_verified": person.email_verified,
        "phone_verified": person.phone_verified,
    }


def render_body(person: Person) -> bytes:
    """Renders the profile as JSON in UTF-8: the bytes that are stored and sent."""
    return orjson.dumps(to_public_dict(person))


def strong_etag(body: bytes) -> bytes:
    """Returns a strong ETag (RFC 9110 section 8.8.3), derived from the bytes alone."""
    base64 = b2a_base64(sha256(body).digest()[:15], newline=False)
    return b'"%b"' % base64.translate(_URL_SAFE)


def to_hash(person: Person | Tombstone) -> dict[bytes, bytes]:
    """Returns all fields of a person's profile hash, or of their tombstone."""
    version = b"%d" % person.version
    if isinstance(person, Tombstone):
        deleted_at = b"%d" % int(person.deleted_at.timestamp())
        return {BODY: b"", ETAG: b"", VERSION: version, DELETED_AT: deleted_at}
    body = render_body(person)
    fields = {BODY: body, ETAG: strong_etag(body), VERSION: version}
    for session in person.sessions:
        fields[session.digest] = b"%d" % int(session.expires_at.timestamp())
    return fields


def without_ended_sessions(fields: Mapping[bytes, bytes], at: float) -> dict[bytes, bytes]:
    """Returns a profile hash without sessions that are revoked or expire by `at`, in Unix s."""
    return {
        name: value
        for name, value in fields.items()
        if len(name) != DIGEST_BYTES
        or not (is_revoked(value) or (value.isdigit() and int(value) <= at))
    }


def is_revoked(expiry: bytes | None) -> bool:
    """Returns whether this is the field of a revoked session."""
    return expiry is not None and expiry.startswith(b"-")


def is_tombstone(fields: Mapping[bytes, bytes]) -> bool:
    """Returns whether this is the hash of an erased person."""
    return fields.get(ETAG) == b""


def decode_reply(
    claims: TokenClaims, reply: Sequence[bytes | None], now: float
) -> tuple[bytes, bytes, int]:
    """Decodes the reply to HMGET for a token at Unix time `now`; returns body, ETag and the expiry
    of the session.

    Raises `CacheMiss` if the hash is missing or older than the token, and `InvalidToken` if the
    session is revoked or expired, or the person deleted.
    """
    body, etag, version, expires_at = reply
    if body is None or etag is None or version is None or int(version) < claims.version:
        raise CacheMiss
    if not body or expires_at is None or (expiry := int(expires_at)) <= now:
        raise InvalidToken
    return body, etag, expiry
