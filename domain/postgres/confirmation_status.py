"""The status of a person's confirmations, as the person may see it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.model import one_time_code
from domain.model.address import Channel, mask
from domain.model.person import Person
from domain.postgres import models, person_queries, sliding_windows
from domain.postgres.code_rows import pending_confirmations


@dataclass(frozen=True, slots=True)
class ConfirmationStatus:
    """The confirmation status of one channel.

    `status` is queued, sent, delivered, failed or confirmed. `resend_available_at` is None when
    nothing is unconfirmed; `pending` is the masked address that is to replace a verified one.
    """

    status: str
    resend_available_at: datetime | None
    attempts_left: int
    pending: str | None


def get_statuses(person_id: UUID) -> dict[Channel, ConfirmationStatus] | None:
    """Returns the status of each channel of a person; None if there is no such person.

    Pending confirmations are read before the person, who shows one that is confirmed in between.
    """
    pending = {row.channel: row for row in pending_confirmations(person_id)}
    person = person_queries.get_person(person_id)
    if not isinstance(person, Person):
        return None
    return {channel: _get_status(person, channel, pending.get(channel)) for channel in Channel}


def _get_status(
    person: Person, channel: Channel, row: models.Confirmation | None
) -> ConfirmationStatus:
    if row is None and getattr(person, f"{channel}_verified"):
        return ConfirmationStatus("confirmed", None, 0, None)
    attempts_left = one_time_code.MAX_ATTEMPTS - row.attempts if row else 0
    limit = sliding_windows.message_limit()
    cooldown, now = sliding_windows.confirmation_cooldown(person.id, channel, limit)
    return ConfirmationStatus(
        status=_derive_status(row),
        resend_available_at=now + cooldown,
        attempts_left=max(0, attempts_left),
        pending=mask(channel, row.address) if row and row.replaces_address else None,
    )


def _derive_status(row: models.Confirmation | None) -> str:
    # A claim that another person has confirmed looks like an open one, lest it reveals the owner.
    if row is None:
        return "failed"
    entry = row.outbox.filter(kind=models.OutboxEntry.Kind.CONFIRMATION).first()
    if entry is None:  # finished so long ago that it was purged
        return "sent"
    if entry.delivery_status or entry.state == models.OutboxEntry.State.FAILED:
        return entry.delivery_status or "failed"
    return "queued" if entry.state in models.OutboxEntry.UNFINISHED else "sent"
