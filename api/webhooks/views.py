"""`POST /webhooks/…`: 204 for what a provider has signed for us, 401 for anything else."""

from collections.abc import Callable

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from api.problems import only, problem
from api.webhooks import sendgrid as sendgrids
from api.webhooks import vonage as vonages
from api.webhooks.signed import NotAReceipt
from api.writes.json import BodyTooLarge, read_at_most
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
    provider: str, read: Callable[[HttpRequest, bytes], receipts.Receipts], request: HttpRequest
) -> HttpResponse:
    """Note what the provider tells; messages that we do not know are no error.

    Of a body that is too long the signature cannot be checked, so it is refused like any other.
    """
    try:
        told = read(request, read_at_most(request, settings.WEBHOOK_BODY_MAX_BYTES))
    except (BodyTooLarge, NotAReceipt) as error:
        reason = error.reason if isinstance(error, NotAReceipt) else error.code
        log.info("receipt_refused", provider=provider, reason=reason)
        return problem(request, NotAReceipt.code)
    receipts.note(told)
    return HttpResponse(status=204, headers={"Cache-Control": "no-store"})
