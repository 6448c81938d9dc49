"""`POST /webhooks/…`: 204 for what a provider has signed for us, 401 for anything else."""

from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse

from api.problems import only, problem
from api.webhooks import sendgrid as sendgrids
from api.webhooks import vonage as vonages
from api.webhooks.signed import NotAReceipt
from domain.stores import receipts

log = structlog.get_logger(__name__)


@only("POST")
def sendgrid(request: HttpRequest) -> HttpResponse:
    """A batch of events from SendGrid."""
    return _take("sendgrid", sendgrids.read, request)


@only("POST")
def vonage(request: HttpRequest) -> HttpResponse:
    """A delivery receipt from Vonage."""
    return _take("vonage", vonages.read, request)


def _take(
    provider: str,
    read: Callable[[HttpRequest, bytes], receipts.DeliveryReceipts],
    request: HttpRequest,
) -> HttpResponse:
    """Records what the provider reports; messages that are unknown here are no error."""
    try:
        told = read(request, request.read())
    except NotAReceipt as error:
        log.info("delivery_receipt_rejected", provider=provider, reason=error.reason)
        return problem(request, NotAReceipt.code)
    receipts.record(told)
    return HttpResponse(status=204, headers={"Cache-Control": "no-store"})
