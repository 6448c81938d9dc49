"""What staff may do for a person: send again, end sessions, forget. Each is a command, and is
recorded in its transaction: who, when, what, and the id of whom; never an address.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.db import transaction

from api.writes.base import after_revocation
from domain.address import Channel
from domain.commands import confirmations, people, sessions
from domain.errors import RateLimited, ServiceUnavailable
from domain.person import Person, Tombstone
from domain.ports import CommandResult
from domain.stores import keys, models
from domain.stores.unit_of_work import unit_of_work
from workers import queue


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is said to staff: a level of `django.contrib.messages`, and a sentence."""

    level: int
    words: str


type Outcomes = list[Outcome] | None  # None: there is no such person


@dataclass(frozen=True, slots=True)
class Action:
    """Something that may be done for a person, by staff who have the permission."""

    name: str  # in the URL
    title: str
    warning: str
    permission: str
    carry_out: Callable[[UUID, Any], Outcomes]
    is_the_end: bool = False  # of the person


def allowed(action: Action, user: Any) -> bool:
    """Whether this user may do that."""
    return bool(user.is_staff and user.has_perm(action.permission))


def _resend(person_id: UUID, user: Any) -> Outcomes:
    outcomes = []
    for channel in Channel:
        outcome = _resend_to(person_id, channel, user)
        if outcome is None:
            return None
        outcomes.append(outcome)
    return outcomes


def _resend_to(person_id: UUID, channel: Channel, user: Any) -> Outcome | None:
    now, where = datetime.now(UTC), channel.capitalize()
    try:
        with transaction.atomic():
            resent = confirmations.resend_for_person(
                person_id, channel, unit_of_work, keys.get_keyring(), now
            )
            if resent and resent.outbox_ids:
                _record(user, person_id, CHANGE, f"sent again: {channel}")
    except RateLimited as error:
        return Outcome(messages.WARNING, f"{where}: not before {error.retry_after} s from now.")
    if resent is None:
        return None
    if not resent.outbox_ids:
        return Outcome(messages.INFO, f"{where}: nothing waits to be confirmed.")
    queue.enqueue(resent.outbox_ids)
    return Outcome(messages.SUCCESS, f"{where}: another message is on its way.")


def _end_sessions(person_id: UUID, user: Any) -> Outcomes:
    with transaction.atomic():
        committed = sessions.revoke_sessions_of_person(person_id, unit_of_work)
        if committed is not None:
            _record(user, person_id, CHANGE, "ended all sessions")
    return None if committed is None else [_reached(committed, "All sessions have ended.")]


def _forget(person_id: UUID, user: Any) -> Outcomes:
    with transaction.atomic():
        committed = people.erase_person(person_id, unit_of_work)
        if committed is not None:
            _record(user, person_id, DELETION, "forgotten")
    return None if committed is None else [_reached(committed, f"Forgotten: {person_id}.")]


def _reached(committed: CommandResult[Person] | CommandResult[Tombstone], words: str) -> Outcome:
    try:
        after_revocation(committed)
    except ServiceUnavailable:
        later = "Redis is away: the workers complete this as soon as it is back."
        return Outcome(messages.WARNING, f"{words} {later}")
    return Outcome(messages.SUCCESS, words)


def _record(user: Any, person_id: UUID, flag: int, words: str) -> None:
    # The text of a person is its id.
    LogEntry.objects.log_actions(user.pk, [models.Person(id=person_id)], flag, words)


ACTIONS = (
    Action(
        "resend",
        "Send again",
        "Each address that waits to be confirmed gets another message, within the same limits as"
        " if its owner asked. It ends the code and the link before.",
        "stores.change_person",
        _resend,
    ),
    Action(
        "end-sessions",
        "End all sessions",
        "Whoever uses this account has to sign in again, on every device.",
        "stores.change_person",
        _end_sessions,
    ),
    Action(
        "forget",
        "Forget",
        "All that is known of this person is deleted, and cannot be brought back.",
        "stores.delete_person",
        _forget,
        is_the_end=True,
    ),
)
