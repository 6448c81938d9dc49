"""`POST /webhooks/…`: 204 for what a provider has signed for us, 401 for anything else."""

from collections.abc import Callable

import structlog
from django.http import HttpResponse
from rest_framework.request import Request

from api.webhooks import sendgrid, vonage
from api.webhooks.signatures import InvalidSignature
from api.writes.base import NoStoreAPIView
from api.writes.json_parser import no_content
from api.writes.openapi import PUBLIC, operation, request_header
from domain.metrics.registry import DELIVERY_RECEIPTS
from domain.postgres import delivery_receipts
from workers.providers.base import SENDGRID_REFERENCE_FIELD

log = structlog.get_logger(__name__)


def _text_fields(*names: str) -> dict[str, object]:
    return {"type": "object", "properties": {name: {"type": "string"} for name in names}}


_EVENTS = {
    "type": "array",
    "items": _text_fields("event", "sg_message_id", SENDGRID_REFERENCE_FIELD),
}
_RECEIPT = _text_fields("messageId", "status", "client-ref", "message-timestamp")


class SendGridView(NoStoreAPIView):
    """Records a batch of events from SendGrid."""

    @operation(
        "receiveSendGridReceipts",
        "Receive delivery receipts from SendGrid",
        {204: None, 401: None},
        request_header(sendgrid.SIGNATURE, "ECDSA, in base64."),
        request_header(sendgrid.TIMESTAMP, "Unix time of the signature."),
        body={"application/json": _EVENTS},
        security=PUBLIC,
    )
    def post(self, request: Request) -> HttpResponse:
        return _record_receipts("sendgrid", sendgrid.parse_receipts, request)


class VonageView(NoStoreAPIView):
    """Records a delivery receipt from Vonage."""

    @operation(
        "receiveVonageReceipts",
        "Receive delivery receipts from Vonage",
        {204: None},
        body={"application/json": _RECEIPT, "application/x-www-form-urlencoded": _RECEIPT},
        security=[{"vonageJwt": []}],
    )
    def post(self, request: Request) -> HttpResponse:
        return _record_receipts("vonage", vonage.parse_receipts, request)


def _record_receipts(
    provider: str,
    parse_receipts: Callable[[Request, bytes], list[delivery_receipts.DeliveryReceipt]],
    request: Request,
) -> HttpResponse:
    """Records what the provider reports; unknown messages are ignored."""
    try:
        receipts = parse_receipts(request, request.read())
    except InvalidSignature as error:
        log.info("delivery_receipt_rejected", provider=provider, reason=error.reason)
        raise
    delivery_receipts.record(receipts)
    for receipt in receipts:
        status = "delivered" if receipt.is_delivered else "failed"
        DELIVERY_RECEIPTS.labels(provider, status).inc()
    return no_content()
