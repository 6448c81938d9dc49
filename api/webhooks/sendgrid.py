"""SendGrid's Signed Event Webhook: an ECDSA signature (P-256, SHA-256) over time and raw body.

https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features

The SDK has a check for it too; it decodes the body first, and raises on what is not UTF-8.
"""

import re
from base64 import b64decode
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from django.conf import settings
from django.http import HttpRequest

from api.webhooks.signed import NotAReceipt, fresh
from domain.stores.receipts import DeliveryReceipts
from workers.delivery.exchange import sanitize_message_id

SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"

# Refused by the receiver, or not even tried. "processed" and "deferred" settle nothing.
_FAILED = ("bounce", "dropped")


def read(request: HttpRequest, body: bytes) -> DeliveryReceipts:
    """What a batch of events tells. Raises `NotAReceipt`."""
    timestamp = request.headers.get(TIMESTAMP, "")
    if not re.fullmatch("[0-9]{1,12}", timestamp):
        raise NotAReceipt("no_timestamp")
    signed_at = fresh(int(timestamp))
    _verify(request.headers.get(SIGNATURE, ""), timestamp.encode() + body)
    try:
        events = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise NotAReceipt("malformed") from None
    if not isinstance(events, list):
        raise NotAReceipt("malformed")
    told = [(event.get("event"), event) for event in events if isinstance(event, dict)]
    return DeliveryReceipts(
        reported_at=signed_at,
        delivered={id_ for word, event in told if word == "delivered" for id_ in _ids(event)},
        failed={id_ for word, event in told if word in _FAILED for id_ in _ids(event)},
    )


def _verify(signature: str, signed: bytes) -> None:
    key = settings.SENDGRID_WEBHOOK_PUBLIC_KEY
    if key is None:
        raise NotAReceipt("no_key")
    try:
        key.verify(b64decode(signature, validate=True), signed, ECDSA(SHA256()))
    except (ValueError, InvalidSignature):
        raise NotAReceipt("bad_signature") from None


def _ids(event: dict[str, Any]) -> Iterator[str]:
    """The ids that the message of an event may have had when SendGrid took it.

    `sg_message_id` begins with that `X-Message-Id`, and goes on after one of its dots with what
    is SendGrid's own: `XBg2anf2TqCy6WXKQFhieQ.filter0905p1mdw1-4434-59E0C6FF-3.0`. Ids had dots
    in them too, once, so the first dot alone does not tell.
    """
    return accumulate(sanitize_message_id(event.get("sg_message_id")).split("."), "{}.{}".format)
