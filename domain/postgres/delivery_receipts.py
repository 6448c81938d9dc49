"""Records the delivery receipts of providers in the outbox.

A receipt finds its entry by a reference that is sent along with each message and comes back in its
receipts. So it is not lost when it arrives before the provider's response to the sending, after the
worker was killed, or without the provider's message id, as asynchronous bounces do.

Receipts arrive twice, late and out of order. The one with the latest time counts, by the provider's
clock; of two with the same time, in whole seconds, the failure: a bounce follows an acceptance, and
not the reverse. So recording one again changes nothing, and none has to be remembered.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from domain.postgres.keyring import get_keyring
from domain.postgres.sql import execute

_PURPOSE = b"delivery receipt"
# Without the condition on '' the partial index is not used.
_SET_STATUS = """
    UPDATE rollcall_outboxentry AS entry
    SET delivery_status = CASE WHEN report.failed THEN 'failed' ELSE 'delivered' END,
        delivery_status_at = report.time
    FROM unnest(%s::{type}[], %s::timestamptz[], %s::boolean[]) AS report (key, time, failed)
    WHERE {condition} AND (entry.delivery_status_at IS NULL
        OR (report.time, report.failed)
            > (entry.delivery_status_at, entry.delivery_status = 'failed'))
"""
_SET_STATUS_BY_ID = _SET_STATUS.format(type="bigint", condition="entry.id = report.key")
_SET_STATUS_BY_MESSAGE_ID = _SET_STATUS.format(
    type="text",
    condition="entry.provider_message_id = report.key AND entry.provider_message_id <> ''",
)

# Its time, and whether it is a failure: the greater one counts.
type _Report = tuple[datetime, bool]


@dataclass(frozen=True, slots=True)
class DeliveryReceipt:
    """What a provider reports of a message, at a time by its own clock.

    `reference` is what it returned as our reference, if anything; `message_ids` are the ids of its
    own that the message may have.
    """

    is_delivered: bool  # if not, it has failed
    reported_at: datetime
    reference: object
    message_ids: Collection[str]


def make_reference(entry_id: int) -> str:
    """Returns the reference to an outbox entry that is sent along with its messages.

    It has nothing of a person in it: providers store and show it. The MAC distinguishes deployments
    that share a provider's account, whose receipts come to each of them.
    """
    mac = get_keyring().signing_key.mac(_PURPOSE, str(entry_id).encode())
    return _format_reference(str(entry_id), mac)


def record(receipts: Iterable[DeliveryReceipt]) -> None:
    """Sets the status of the messages, in any state of their entries; ignores unknown ones."""
    by_id: dict[int, _Report] = {}
    by_message_id: dict[str, _Report] = {}
    for receipt in receipts:
        report = (receipt.reported_at, not receipt.is_delivered)
        entry_id = _parse_reference(receipt.reference)
        if entry_id is not None:
            by_id[entry_id] = max(report, by_id.get(entry_id, report))
            continue
        for message_id in receipt.message_ids:
            by_message_id[message_id] = max(report, by_message_id.get(message_id, report))
    _set_status(_SET_STATUS_BY_ID, sorted(by_id.items()))
    _set_status(_SET_STATUS_BY_MESSAGE_ID, sorted(by_message_id.items()))


def _set_status(sql: str, reports: list[tuple[int, _Report]] | list[tuple[str, _Report]]) -> None:
    if reports:
        keys = [key for key, _ in reports]
        times, failures = zip(*(report for _, report in reports), strict=True)
        execute(sql, [keys, list(times), list(failures)])


def _parse_reference(reference: object) -> int | None:
    """Returns the id of the entry, None unless a key of ours has made the reference."""
    if not isinstance(reference, str):
        return None
    entry_id, _, _ = reference.partition("-")
    macs = get_keyring().macs_with_all_keys(_PURPOSE, entry_id.encode())
    valid = [_format_reference(entry_id, mac) for mac in macs]
    return int(entry_id) if reference in valid else None


def _format_reference(entry_id: str, mac: bytes) -> str:
    return f"{entry_id}-{mac[:8].hex()}"
