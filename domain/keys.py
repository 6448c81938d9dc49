"""Server keys: one secret in, a key of its own for each purpose out.

Nothing else signs, derives or compares. The first key of a ring makes, every key of it checks,
so that a secret can be changed without a moment in which nothing works.
"""

import hmac
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256

KEY_ID_BYTES = 4


@dataclass(frozen=True, slots=True)
class Key:
    """One server secret. `id` names it in a row or a token and tells nothing about it."""

    id: bytes
    _secret: bytes = field(repr=False)

    def mac(self, purpose: bytes, *parts: bytes) -> bytes:
        """32 bytes, HMAC-SHA256 (RFC 2104) over `parts`, bound to `purpose`.

        Every part is preceded by its length: no two lists of parts give the same input.
        """
        if len(parts) == 1:  # as in every read: the same message, made in half the time
            message = len(parts[0]).to_bytes(4) + parts[0]
        else:
            message = b"".join([len(part).to_bytes(4) + part for part in parts])
        return hmac.digest(_derived(self._secret, purpose), message, sha256)


@lru_cache(64)
def _derived(secret: bytes, purpose: bytes) -> bytes:
    """The key for one purpose; there are as many as secrets times purposes, and each read asks."""
    return hmac.digest(secret, purpose, sha256)


class KeyRing:
    """Keys made from `secrets`, the current one first. Raises `ValueError` if there is none."""

    def __init__(self, secrets: list[str]) -> None:
        if not secrets:
            raise ValueError("at least one secret is needed")
        keys = [_key(secret.encode()) for secret in secrets]
        self.current, *self._older = keys
        self._by_id = {key.id: key for key in reversed(keys)}

    def macs(self, purpose: bytes, *parts: bytes) -> list[bytes]:
        """`Key.mac` by every key of the ring, the current one's first: to find what any made."""
        return [key.mac(purpose, *parts) for key in (self.current, *self._older)]

    def get(self, key_id: bytes) -> Key | None:
        """The key of that id, or None when it is not (or no longer) on the ring."""
        return self._by_id.get(key_id)


def _key(secret: bytes) -> Key:
    return Key(hmac.digest(secret, b"rollcall key id", sha256)[:KEY_ID_BYTES], secret)
