"""`POST /webhooks/…`: 204 for what a provider has signed for us, 401 for anything else."""

from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse

from api.webhooks import sendgrid as sendgrid_webhook
from api.webhooks import vonage as vonage_webhook
from api.webhooks.signatures import InvalidSignature
from api.writes.error_handlers import problem_response, require_methods
from domain.postgres import delivery_receipts

log = structlog.get_logger(__name__)


@require_methods("POST")
def sendgrid(request: HttpRequest) -> HttpResponse:
    """A batch of events from SendGrid."""
    return _handle_webhook("sendgrid", sendgrid_webhook.parse_receipts, request)


@require_methods("POST")
def vonage(request: HttpRequest) -> HttpResponse:
    """A delivery receipt from Vonage."""
    return _handle_webhook("vonage", vonage_webhook.parse_receipts, request)


def _handle_webhook(
    provider: str,
    parse_receipts: Callable[[HttpRequest, bytes], delivery_receipts.DeliveryReceipts],
    request: HttpRequest,
) -> HttpResponse:
    """Records what the provider reports; unknown messages are ignored."""
    try:
        report = parse_receipts(request, request.read())
    except InvalidSignature as error:
        log.info("delivery_receipt_rejected", provider=provider, reason=error.reason)
        return problem_response(request, InvalidSignature.code)
    delivery_receipts.record(report)
    return HttpResponse(status=204, headers={"Cache-Control": "no-store"})
