"""Signatures of webhooks that this service sends.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import binascii
import hmac
from base64 import b64decode, b64encode

_PREFIX = "whsec_"
_MIN_BYTES, _MAX_BYTES = 24, 64


def parse_secret(text: str) -> bytes:
    """Returns the bytes of a secret: whsec_ and 24 to 64 bytes in base64. Raises ValueError."""
    try:
        secret = b64decode(text.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        secret = b""
    if not text.startswith(_PREFIX) or not _MIN_BYTES <= len(secret) <= _MAX_BYTES:
        raise ValueError(f"It must be {_PREFIX} and 24 to 64 random bytes in base64.")
    return secret


def signed_headers(secret: bytes, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Returns the headers that identify and sign a request; `timestamp` in Unix seconds.

    The receiver ignores an id that it has seen, and refuses a timestamp that is minutes old.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    signature = b64encode(hmac.digest(secret, signed, "sha256")).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }
