"""SendGrid's Signed Event Webhook: an ECDSA signature (P-256, SHA-256) over time and raw body.

https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features

The SDK has a check for it too; it decodes the body first, and raises on what is not UTF-8.
"""

import re
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

import orjson
from cryptography import exceptions as crypto
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from django.conf import settings
from rest_framework.request import Request

from api.webhooks.signatures import InvalidSignature, check_timestamp
from domain.postgres.delivery_receipts import DeliveryReceipt
from workers.providers.base import SENDGRID_REFERENCE_FIELD, sanitize_message_id

SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"

# A bounce: rejected by the receiver, perhaps after it has accepted the message; dropped: not
# attempted. "processed" and "deferred" are not final.
_FINAL = ("delivered", "bounce", "dropped")


def parse_receipts(request: Request, body: bytes) -> list[DeliveryReceipt]:
    """Returns the receipts in a batch of events. Raises `InvalidSignature`."""
    timestamp = request.headers.get(TIMESTAMP, "")
    if not re.fullmatch("[0-9]{1,12}", timestamp):
        raise InvalidSignature("missing_timestamp")
    signed_at = check_timestamp(int(timestamp))
    _verify(request.headers.get(SIGNATURE, ""), timestamp.encode() + body)
    try:
        events = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InvalidSignature("malformed") from None
    if not isinstance(events, list):
        raise InvalidSignature("malformed")
    return [_to_receipt(event, signed_at) for event in events if _is_final(event)]


def _verify(signature: str, signed: bytes) -> None:
    key = settings.SENDGRID_WEBHOOK_PUBLIC_KEY
    if key is None:
        raise InvalidSignature("key_not_configured")
    try:
        key.verify(b64decode(signature, validate=True), signed, ECDSA(SHA256()))
    except (ValueError, crypto.InvalidSignature):
        raise InvalidSignature("bad_signature") from None


def _is_final(event: Any) -> bool:
    return isinstance(event, dict) and event.get("event") in _FINAL


def _to_receipt(event: dict[str, Any], signed_at: datetime) -> DeliveryReceipt:
    return DeliveryReceipt(
        is_delivered=event["event"] == "delivered",
        reported_at=_reported_at(event, signed_at),
        reference=event.get(SENDGRID_REFERENCE_FIELD),
        message_ids=list(_ids(event)),
    )


def _reported_at(event: dict[str, Any], signed_at: datetime) -> datetime:
    """Returns the time of the event, or that of the signature, which is later, if it has none."""
    try:
        return min(datetime.fromtimestamp(event["timestamp"], UTC), signed_at)
    except (LookupError, TypeError, ValueError, OverflowError, OSError):
        return signed_at


def _ids(event: dict[str, Any]) -> Iterator[str]:
    """Yields the ids that the message of an event may have had when SendGrid accepted it.

    `sg_message_id` is that `X-Message-Id`, a dot, and a suffix of SendGrid's own:
    `XBg2anf2TqCy6WXKQFhieQ.filter0905p1mdw1-4434-59E0C6FF-3.0`. Older ids had dots too, so each
    prefix that ends before a dot is a candidate.
    """
    return accumulate(sanitize_message_id(event.get("sg_message_id")).split("."), "{}.{}".format)
