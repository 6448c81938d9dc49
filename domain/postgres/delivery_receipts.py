"""Records the delivery receipts of providers in the outbox.

A receipt may arrive twice, late, or after one that reports more: SendGrid repeats events, and a
signed one can be replayed while it is fresh. A receipt only advances a status, so recording one
again changes nothing, and none has to be remembered.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from domain.postgres.models import OutboxEntry

_STATUS_ORDER = list(OutboxEntry.DeliveryStatus)


@dataclass(frozen=True, slots=True)
class DeliveryReceipts:
    """The provider's ids of the messages that were delivered, and of those that were not."""

    reported_at: datetime
    delivered: Collection[str]
    failed: Collection[str]


def record(receipts: DeliveryReceipts) -> None:
    """Advances the status of these messages; ignores unknown ids."""
    _advance_status(OutboxEntry.DeliveryStatus.DELIVERED, receipts.delivered, receipts.reported_at)
    _advance_status(OutboxEntry.DeliveryStatus.FAILED, receipts.failed, receipts.reported_at)


def _advance_status(
    status: OutboxEntry.DeliveryStatus, message_ids: Collection[str], reported_at: datetime
) -> None:
    if not message_ids:
        return
    # Without the explicit condition the partial index is not used for a long list.
    OutboxEntry.objects.exclude(provider_message_id="").filter(
        provider_message_id__in=message_ids,
        delivery_status__in=_STATUS_ORDER[: _STATUS_ORDER.index(status)],
    ).update(delivery_status=status, delivery_status_at=reported_at)
