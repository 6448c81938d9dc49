"""The profile hash: what stands in Redis for each person, and what a reader makes of it.

    key      p:<person, 32 hex digits>
    b        the profile's body, the very octets that are sent
    e        its ETag
    v        the person's version
    <digest> for each live session: SHA-256 of its token -> its end, in Unix seconds

One HMGET of `b`, `e`, `v` and the caller's own digest answers "who", "still allowed?" and "what".
Of somebody who is gone a tombstone stays: `b` and `e` are empty, `v` is the last version, `t` the
Unix time. Its version keeps a late write of an older state out.
"""

from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from hashlib import sha256
from uuid import UUID

import orjson

from domain.errors import InvalidToken
from domain.person import Person, Tombstone
from domain.session import TokenClaims

BODY, ETAG, VERSION, DELETED_AT = b"b", b"e", b"v", b"t"
DIGEST_BYTES = 32  # no other field has a name of that length
KEY_PATTERN = "p:" + "[0-9a-f]" * 32  # a glob for SCAN
FIELD_COUNT = 4  # that one read asks for
_URL_SAFE = bytes.maketrans(b"+/", b"-_")  # base64 to base64url
BACKFILL_QUEUE = (
    "profile:backfill"  # a sorted set: person -> how often somebody asked for a missing profile
)


class CacheMiss(Exception):
    """The hash is not there, or older than the caller's token says it must be."""


def redis_key(person_id: UUID) -> str:
    """The Redis key of a person's profile hash."""
    return f"p:{person_id.hex}"


def redis_key_for_token(claims: TokenClaims) -> str:
    """The Redis key of the profile hash of whose token this is."""
    return f"p:{claims.person_id_bytes.hex()}"


def parse_redis_key(key: bytes) -> UUID:
    """Whose profile hash a Redis key is; the opposite of `key_of`."""
    return UUID(hex=key[2:].decode())


def hmget_fields(claims: TokenClaims) -> list[bytes]:
    """What a reader asks HMGET for, in the order that `answer` expects: so many `FIELDS`."""
    return [BODY, ETAG, VERSION, claims.digest]


def to_public_dict(person: Person) -> dict[str, object]:
    """The profile as clients see it: seven fields, in the contract's order."""
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
    """The octets that are stored and sent: the profile as JSON in UTF-8."""
    return orjson.dumps(to_public_dict(person))


def strong_etag(body: bytes) -> bytes:
    """A strong ETag (RFC 9110 section 8.8.3) made from the octets and nothing else."""
    base64 = b2a_base64(sha256(body).digest()[:15], newline=False)
    return b'"%b"' % base64.translate(_URL_SAFE)


def to_hash(person: Person | Tombstone) -> dict[bytes, bytes]:
    """Every field of a person's profile hash, or of their tombstone."""
    version = b"%d" % person.version
    if isinstance(person, Tombstone):
        deleted_at = b"%d" % int(person.deleted_at.timestamp())
        return {BODY: b"", ETAG: b"", VERSION: version, DELETED_AT: deleted_at}
    body = render_body(person)
    fields = {BODY: body, ETAG: strong_etag(body), VERSION: version}
    for session in person.sessions:
        fields[session.digest] = b"%d" % int(session.expires_at.timestamp())
    return fields


def without_expired_sessions(fields: Mapping[bytes, bytes], at: float) -> dict[bytes, bytes]:
    """A profile hash without the sessions that end by `moment`, in Unix seconds."""
    return {
        name: value
        for name, value in fields.items()
        if len(name) != DIGEST_BYTES or not value.isdigit() or int(value) > at
    }


def decode_reply(
    claims: TokenClaims, reply: Sequence[bytes | None], now: float
) -> tuple[bytes, bytes]:
    """What the reply to HMGET gives to the bearer of `token` at Unix time `now`: body and ETag.

    Raises `Missing` when the hash cannot be trusted to know this token yet, and `InvalidToken`
    when it knows better: session ended or out of date, person gone.
    """
    body, etag, version, expires_at = reply
    if body is None or etag is None or version is None or int(version) < claims.version:
        raise CacheMiss
    if not body or expires_at is None or int(expires_at) <= now:
        raise InvalidToken
    return body, etag
