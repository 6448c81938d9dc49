"""What providers tell of messages that they took, noted in the outbox.

A receipt may come twice, late, or after one that says more: SendGrid delivers events three times
and more, and whoever saw a signed one may send it again while it is fresh. Nothing counts them
and nothing follows from them but a status that only rises, so that noting one again changes
nothing; there is no need to remember which have been.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from domain.stores.models import OutboxEntry

_STATUS_ORDER = list(OutboxEntry.DeliveryStatus)


@dataclass(frozen=True, slots=True)
class DeliveryReceipts:
    """Ids of messages, as the provider gave them, that were delivered and that were not.

    `at` is when the provider said so.
    """

    reported_at: datetime
    delivered: Collection[str]
    failed: Collection[str]


def record(receipts: DeliveryReceipts) -> None:
    """Raise the status of these messages. Ids that no message has are passed over."""
    _advance_status(OutboxEntry.DeliveryStatus.DELIVERED, receipts.delivered, receipts.reported_at)
    _advance_status(OutboxEntry.DeliveryStatus.FAILED, receipts.failed, receipts.reported_at)


def _advance_status(
    status: OutboxEntry.DeliveryStatus, message_ids: Collection[str], reported_at: datetime
) -> None:
    if not message_ids:
        return
    # That an id is not empty is said in so many words, or the index is not used for a long list.
    OutboxEntry.objects.exclude(provider_message_id="").filter(
        provider_message_id__in=message_ids,
        delivery_status__in=_STATUS_ORDER[: _STATUS_ORDER.index(status)],
    ).update(delivery_status=status, delivery_status_at=reported_at)
