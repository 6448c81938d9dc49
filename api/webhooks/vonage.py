"""Vonage's signed webhooks: a JWT (HS256) with the hash of the raw body among its claims.

https://developer.vonage.com/en/getting-started/concepts/webhooks, "Decoding signed webhooks", and
https://developer.vonage.com/en/messaging/sms/guides/delivery-receipts
"""

import hmac
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl

import jwt
import orjson
from django.conf import settings
from rest_framework.request import Request

from api.bearer import bearer_token
from api.webhooks.signatures import CLOCK_SKEW, InvalidSignature, check_timestamp
from domain.model.errors import InvalidToken
from domain.postgres.delivery_receipts import DeliveryReceipt
from workers.providers.base import sanitize_message_id

# "accepted", "buffered" and "unknown" are not final.
_FINAL = ("delivered", "expired", "failed", "rejected")


def parse_receipts(request: Request, body: bytes) -> list[DeliveryReceipt]:
    """Returns the receipt, or none if its status is not final. Raises `InvalidSignature`."""
    claims = _verify_token(request.headers.get("Authorization", ""))
    signed_at = check_timestamp(int(claims["iat"]))
    payload_hash = str(claims["payload_hash"]).lower().encode()
    if not hmac.compare_digest(payload_hash, sha256(body).hexdigest().encode()):
        raise InvalidSignature("payload_hash_mismatch")
    receipt = _parse_fields(request.content_type or "", body)
    status = receipt.get("status")
    if status not in _FINAL:
        return []
    return [
        DeliveryReceipt(
            is_delivered=status == "delivered",
            reported_at=_reported_at(receipt, signed_at),
            reference=receipt.get("client-ref"),
            # Guides and real receipts have the first name; the response to a send has the second.
            message_ids={
                sanitize_message_id(receipt.get(name)) for name in ("messageId", "message-id")
            },
        )
    ]


def _reported_at(receipt: dict[str, Any], signed_at: datetime) -> datetime:
    """Returns the time of the receipt (UTC, with or without "+0000"), or that of the signature,
    which is later, if it has none.
    """
    try:
        time = datetime.fromisoformat(receipt["message-timestamp"].replace(" +", "+"))
        in_utc = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (LookupError, AttributeError, ValueError, OverflowError):
        return signed_at
    return min(in_utc, signed_at)


def _verify_token(authorization: str) -> dict[str, Any]:
    """Returns the claims of a valid token; `iat` is an integer."""
    # Anyone could sign with an empty secret.
    if not settings.VONAGE_SIGNATURE_SECRET:
        raise InvalidSignature("key_not_configured")
    try:
        return jwt.decode(
            bearer_token(authorization),
            settings.VONAGE_SIGNATURE_SECRET,
            algorithms=["HS256"],
            options={"require": ["iat", "payload_hash"]},
            leeway=CLOCK_SKEW,
        )
    except (InvalidToken, jwt.PyJWTError):
        raise InvalidSignature("bad_signature") from None


def _parse_fields(content_type: str, body: bytes) -> dict[str, Any]:
    """Returns the fields of a form or a JSON object: which, depends on the account's settings."""
    try:
        if content_type.startswith("application/x-www-form-urlencoded"):
            return dict(parse_qsl(body.decode(), max_num_fields=100))
        fields = orjson.loads(body)
    except ValueError:
        raise InvalidSignature("malformed") from None
    if not isinstance(fields, dict):
        raise InvalidSignature("malformed")
    return fields
