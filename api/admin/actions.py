"""Staff actions: resend confirmations, revoke sessions, erase. Each is a command, logged in its
transaction with user, time, action and the person's id; never with an address.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.db import transaction

from api.writes.base import project_revocation
from domain.commands import accounts, confirmations, sessions
from domain.commands.ports import CommandResult
from domain.model.address import Channel
from domain.model.errors import RateLimited, ServiceUnavailable
from domain.model.person import Person, Tombstone
from domain.postgres import keyring, models
from domain.postgres.unit_of_work import unit_of_work
from workers import queue


@dataclass(frozen=True, slots=True)
class ActionMessage:
    """A message to staff: a level of `django.contrib.messages`, and a sentence."""

    level: int
    text: str


type ActionMessages = list[ActionMessage] | None  # None: no such person


@dataclass(frozen=True, slots=True)
class Action:
    """An action on a person, for staff with the permission."""

    name: str  # in the URL
    title: str
    warning: str
    permission: str
    handler: Callable[[UUID, Any], ActionMessages]
    deletes_person: bool = False


def has_permission(action: Action, user: Any) -> bool:
    """Returns whether this user may run the action."""
    return bool(user.is_staff and user.has_perm(action.permission))


def _resend(person_id: UUID, user: Any) -> ActionMessages:
    action_messages = []
    for channel in Channel:
        action_message = _resend_to_channel(person_id, channel, user)
        if action_message is None:
            return None
        action_messages.append(action_message)
    return action_messages


def _resend_to_channel(person_id: UUID, channel: Channel, user: Any) -> ActionMessage | None:
    now, label = datetime.now(UTC), channel.capitalize()
    try:
        with transaction.atomic():
            result = confirmations.resend_for_person(
                person_id, channel, unit_of_work, keyring.get_keyring(), now
            )
            if result and result.outbox_ids:
                _log_action(user, person_id, CHANGE, f"resent: {channel}")
    except RateLimited as error:
        return ActionMessage(
            messages.WARNING, f"{label}: not before {error.retry_after} s from now."
        )
    if result is None:
        return None
    if not result.outbox_ids:
        return ActionMessage(messages.INFO, f"{label}: no confirmation is pending.")
    queue.enqueue(result.outbox_ids)
    return ActionMessage(messages.SUCCESS, f"{label}: another message is being sent.")


def _revoke_sessions(person_id: UUID, user: Any) -> ActionMessages:
    with transaction.atomic():
        committed = sessions.revoke_sessions_of_person(person_id, unit_of_work)
        if committed is not None:
            _log_action(user, person_id, CHANGE, "revoked all sessions")
    return (
        None if committed is None else [_apply_revocation(committed, "All sessions are revoked.")]
    )


def _erase(person_id: UUID, user: Any) -> ActionMessages:
    with transaction.atomic():
        committed = accounts.erase_person(person_id, unit_of_work)
        if committed is not None:
            _log_action(user, person_id, DELETION, "erased")
    return None if committed is None else [_apply_revocation(committed, f"Erased: {person_id}.")]


def _apply_revocation(
    committed: CommandResult[Person] | CommandResult[Tombstone], text: str
) -> ActionMessage:
    try:
        project_revocation(committed)
    except ServiceUnavailable:
        note = "Redis is unavailable: the workers complete this once it has recovered."
        return ActionMessage(messages.WARNING, f"{text} {note}")
    return ActionMessage(messages.SUCCESS, text)


def _log_action(user: Any, person_id: UUID, flag: int, text: str) -> None:
    # str(Person) is its id.
    LogEntry.objects.log_actions(user.pk, [models.Person(id=person_id)], flag, text)


ACTIONS = (
    Action(
        "resend",
        "Resend confirmations",
        "Sends another message to each unconfirmed address, within the usual limits. It supersedes"
        " the previous code and link.",
        "rollcall.change_person",
        _resend,
    ),
    Action(
        "revoke-sessions",
        "Revoke all sessions",
        "The person has to sign in again on every device.",
        "rollcall.change_person",
        _revoke_sessions,
    ),
    Action(
        "erase",
        "Erase",
        "Deletes all data of this person. This cannot be undone.",
        "rollcall.delete_person",
        _erase,
        deletes_person=True,
    ),
)
