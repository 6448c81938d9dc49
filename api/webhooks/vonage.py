"""Vonage's signed webhooks: a JWT (HS256) with the hash of the raw body among its claims.

https://developer.vonage.com/en/getting-started/concepts/webhooks, "Decoding signed webhooks", and
https://developer.vonage.com/en/messaging/sms/guides/delivery-receipts
"""

import hmac
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl

import jwt
import orjson
from django.conf import settings
from django.http import HttpRequest

from api.bearer import bearer_token
from api.webhooks.signed import AHEAD, NotAReceipt, fresh
from domain.errors import InvalidToken
from domain.stores.receipts import DeliveryReceipts
from workers.delivery.exchange import sanitize_message_id

# "accepted", "buffered" and "unknown" settle nothing.
_FAILED = ("expired", "failed", "rejected")


def read(request: HttpRequest, body: bytes) -> DeliveryReceipts:
    """What a receipt tells. Raises `NotAReceipt`."""
    claims = _claims(request.headers.get("Authorization", ""))
    signed_at = fresh(int(claims["iat"]))
    hashed = str(claims["payload_hash"]).lower().encode()
    if not hmac.compare_digest(hashed, sha256(body).hexdigest().encode()):
        raise NotAReceipt("other_body")
    receipt = _fields(request.content_type, body)
    status = receipt.get("status")
    # The first is what guides and real receipts say, the second what the request's answer says.
    ids = {sanitize_message_id(receipt.get(name)) for name in ("messageId", "message-id")}
    return DeliveryReceipts(
        reported_at=signed_at,
        delivered=ids if status == "delivered" else set(),
        failed=ids if status in _FAILED else set(),
    )


def _claims(authorization: str) -> dict[str, Any]:
    """The claims of the token, `iat` being a whole number."""
    # Whoever knows that there is no secret could sign with it.
    if not settings.VONAGE_SIGNATURE_SECRET:
        raise NotAReceipt("no_key")
    try:
        return jwt.decode(
            bearer_token(authorization),
            settings.VONAGE_SIGNATURE_SECRET,
            algorithms=["HS256"],
            options={"require": ["iat", "payload_hash"]},
            leeway=AHEAD,
        )
    except (InvalidToken, jwt.PyJWTError):
        raise NotAReceipt("bad_signature") from None


def _fields(content_type: str | None, body: bytes) -> dict[str, Any]:
    """The fields of a form or of a JSON object, as the account's settings have it."""
    try:
        if content_type == "application/x-www-form-urlencoded":
            return dict(parse_qsl(body.decode(), max_num_fields=100))
        fields = orjson.loads(body)
    except ValueError:
        raise NotAReceipt("malformed") from None
    if not isinstance(fields, dict):
        raise NotAReceipt("malformed")
    return fields
