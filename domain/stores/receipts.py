"""What providers tell of messages that they took, noted in the outbox.

A receipt may come twice, late, or after one that says more: SendGrid delivers events three times
and more, and whoever saw a signed one may send it again while it is fresh. Nothing counts them
and nothing follows from them but a status that only rises, so that noting one again changes
nothing; there is no need to remember which have been.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from domain.stores.models import Outbox

_RISING = list(Outbox.Receipt)


@dataclass(frozen=True, slots=True)
class Receipts:
    """Ids of messages, as the provider gave them, that were delivered and that were not.

    `at` is when the provider said so.
    """

    at: datetime
    delivered: Collection[str]
    failed: Collection[str]


def note(receipts: Receipts) -> None:
    """Raise the status of these messages. Ids that no message has are passed over."""
    _raise(Outbox.Receipt.DELIVERED, receipts.delivered, receipts.at)
    _raise(Outbox.Receipt.FAILED, receipts.failed, receipts.at)


def _raise(to: Outbox.Receipt, provider_ids: Collection[str], at: datetime) -> None:
    if not provider_ids:
        return
    # That an id is not empty is said in so many words, or the index is not used for a long list.
    Outbox.objects.exclude(provider_id="").filter(
        provider_id__in=provider_ids, receipt__in=_RISING[: _RISING.index(to)]
    ).update(receipt=to, receipt_at=at)
