"""What became of the messages to a person, as they may see it themselves."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain import code
from domain.address import Channel, masked
from domain.person import Person
from domain.stores import models, pauses, people, tallies

# A claim that another has answered looks like one that nobody has answered yet (DESIGN section 3).
_STATUS = {
    models.Outbox.State.WAITING: "queued",
    models.Outbox.State.QUEUED: "queued",
    models.Outbox.State.WORKING: "queued",
    models.Outbox.State.FAILED: "failed",
}


@dataclass(frozen=True, slots=True)
class Overview:
    """How the confirmation of one channel stands.

    `status` is queued, sent, delivered, failed or confirmed. `resend_available_at` is None when
    nothing waits to be confirmed; `pending` is the masked address that is to replace a confirmed
    one.
    """

    status: str
    resend_available_at: datetime | None
    attempts_left: int
    pending: str | None


def of(person_id: UUID) -> dict[Channel, Overview] | None:
    """How the confirmation of each channel of a person stands; None if there is no such person.

    What waits is read before the person: whatever is confirmed in between is seen in the latter.
    """
    waiting = {
        row.channel: row
        for row in models.Confirmation.objects.filter(
            person_id=person_id, confirmed_at=None, ended_at=None
        )
    }
    person = people.load(person_id)
    if not isinstance(person, Person):
        return None
    return {channel: _of(person, channel, waiting.get(channel)) for channel in Channel}


def _of(person: Person, channel: Channel, row: models.Confirmation | None) -> Overview:
    if row is None and getattr(person, f"{channel}_verified"):
        return Overview("confirmed", None, 0, None)
    failures = tallies.count(tallies.failures(person.id.bytes, channel))
    left = min(code.FAILURES_A_DAY - failures, code.TRIES - row.tries if row else 0)
    wait, now = pauses.of_resend(person.id, channel)
    return Overview(
        status=_status(row),
        resend_available_at=now + wait,
        attempts_left=max(0, left),
        pending=masked(channel, row.address) if row and row.replaces else None,
    )


def _status(row: models.Confirmation | None) -> str:
    if row is None:
        return "failed"
    sending = row.outbox.filter(kind=models.Outbox.Kind.CONFIRMATION).first()
    if sending is None:  # sent so long ago that its row was deleted
        return "sent"
    return sending.receipt or _STATUS.get(models.Outbox.State(sending.state), "sent")
