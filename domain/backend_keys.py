"""The set of backend keys in the profile Redis, which each reader has in memory: its format.

    key       profile:backends; profile:backends:{tag} of a primary of a Redis Cluster
    identity  run id and replication id of the server that the set was written to
    version   of the set in Postgres: each change there has a higher one
    keys      JSON: the SHA-256 digest of each key that is not ended, in hexadecimal digits -> the
              Unix time at which it ends, or null

A server that was started from a snapshot, or a replica that took over, has the identity of another
in its set, which may lack what was ended since: it does not count until the relay has written it
there too. Nor does an older version than one that was loaded before.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

IDENTITY, VERSION, KEYS = "identity", "version", "keys"


class KeySet(NamedTuple):
    """The keys that are not ended: the Unix time at which each ends, or None, by its digest."""

    version: int
    ends_at: Mapping[bytes, int | None]


def redis_key(hash_tag: str = "") -> str:
    """Returns the key of a primary's set; `hash_tag` as in `domain.fence.fence_key`."""
    return f"profile:backends:{{{hash_tag}}}" if hash_tag else "profile:backends"


def load_command(hash_tag: str = "") -> tuple[str, ...]:
    """Returns the command whose reply `decode_reply` decodes."""
    return ("HMGET", redis_key(hash_tag), IDENTITY, VERSION, KEYS)


def encode_keys(keys: KeySet) -> bytes:
    """Returns the field `keys`."""
    return orjson.dumps({digest.hex(): keys.ends_at[digest] for digest in sorted(keys.ends_at)})


def decode_reply(reply: Any, identity: bytes) -> KeySet | None:
    """Returns the set in a reply of the server with that identity; None if it has none that counts.

    Raises `ValueError` if it is malformed.
    """
    match reply:
        case [bytes(written_to), bytes(version), bytes(keys)] if written_to == identity:
            items = orjson.loads(keys).items()
            return KeySet(int(version), {bytes.fromhex(digest): end for digest, end in items})
    return None
