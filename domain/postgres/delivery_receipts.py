"""Records the delivery receipts of providers in the outbox.

A receipt may arrive twice, late, or after one that reports more: SendGrid repeats events, and a
signed one can be replayed while it is fresh. A receipt only advances a status, so recording one
again changes nothing, and none has to be remembered.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from domain.postgres.models import OutboxEntry


@dataclass(frozen=True, slots=True)
class DeliveryReceipts:
    """The provider's ids of the messages that were delivered, and of those that were not."""

    reported_at: datetime
    delivered: Collection[str]
    failed: Collection[str]


def record(receipts: DeliveryReceipts) -> None:
    """Advances the status of these messages; ignores unknown ids."""
    status = OutboxEntry.DeliveryStatus
    for new, message_ids, replaceable in (
        (status.DELIVERED, receipts.delivered, [status.NONE, status.FAILED]),
        (status.FAILED, receipts.failed, [status.NONE]),
    ):
        if message_ids:
            # Without the explicit condition the partial index is not used for a long list.
            OutboxEntry.objects.exclude(provider_message_id="").filter(
                provider_message_id__in=message_ids, delivery_status__in=replaceable
            ).update(delivery_status=new, delivery_status_at=receipts.reported_at)
