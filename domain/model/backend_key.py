"""Keys of backends, which introspect tokens: `rollcall_bk_`, 43 random letters and digits (256
bits), and their CRC-32 in 8 hexadecimal digits.

The prefix and the checksum are for secret scanners, which can tell a key from other text without
asking. Only the SHA-256 digest of a key is stored.
"""

import secrets
import string
from binascii import crc32
from hashlib import sha256

PREFIX = "rollcall_bk_"
KEY_LENGTH = 63
_ALPHABET = string.ascii_letters + string.digits
_RANDOM_LENGTH = 43


def issue_key() -> str:
    """Returns a new key."""
    text = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))
    return text + _checksum(text)


def is_well_formed(key: str) -> bool:
    """Returns whether this may be a key: its prefix, length and checksum are right."""
    if len(key) != KEY_LENGTH or not key.startswith(PREFIX) or not key.isascii():
        return False
    return key[-8:] == _checksum(key[:-8])


def key_digest(key: str) -> bytes:
    """Returns the SHA-256 digest of a key, or of any text that was sent as one."""
    return sha256(key.encode(errors="replace")).digest()


def _checksum(text: str) -> str:
    return f"{crc32(text.encode()):08x}"
