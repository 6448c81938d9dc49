"""Staff actions on people: each is a command, logged in its transaction with user, time and the
person's id; never with an address.
"""

from datetime import UTC, datetime
from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from api.writes.after_commit import project_revocation
from domain.commands import accounts, confirmations, sessions
from domain.commands.ports import CommandResult
from domain.model.address import Channel
from domain.model.errors import RateLimited, ServiceUnavailable
from domain.postgres import keyring
from domain.postgres.models import Person
from domain.postgres.unit_of_work import unit_of_work
from workers import queue

type PersonAdmin = admin.ModelAdmin[Person]


@admin.action(description="Resend pending confirmations", permissions=["action"])
def resend_confirmations(
    model_admin: PersonAdmin, request: HttpRequest, people: QuerySet[Person]
) -> None:
    """Sends another message to each unconfirmed address, within the usual quotas."""
    for person in people:
        for channel in Channel:
            _resend(model_admin, request, person, channel)


def _resend(
    model_admin: PersonAdmin, request: HttpRequest, person: Person, channel: Channel
) -> None:
    label, now = channel.capitalize(), datetime.now(UTC)
    try:
        with transaction.atomic():
            result = confirmations.resend_confirmation(
                person.id, channel, unit_of_work, keyring.get_keyring(), now, network=None
            )
            if result and result.outbox_refs:
                model_admin.log_change(request, person, f"resent: {channel}")
    except RateLimited as error:
        messages.warning(request, f"{label}: not before {error.retry_after} s from now.")
        return
    if result and result.outbox_refs:
        queue.enqueue(result.outbox_refs)
        messages.success(request, f"{label}: another message is being sent.")
    else:
        messages.info(request, f"{label}: no confirmation is pending.")


@admin.action(description="Revoke all sessions", permissions=["action"])
def revoke_sessions(
    model_admin: PersonAdmin, request: HttpRequest, people: QuerySet[Person]
) -> None:
    """Makes people sign in again on every device."""
    for person in people:
        with transaction.atomic():
            committed = sessions.revoke_sessions_of_person(person.id, unit_of_work)
            if committed is not None:
                model_admin.log_change(request, person, "revoked all sessions")
        if committed is not None:
            messages.success(request, f"All sessions of {person} are revoked.")
            _apply_revocation(request, committed)


def erase(request: HttpRequest, person: Person) -> None:
    """Deletes all data of a person. Called in the transaction that logs it."""
    committed = accounts.erase_person(person.id, unit_of_work)
    if committed is not None:
        transaction.on_commit(lambda: _apply_revocation(request, committed))


def _apply_revocation(request: HttpRequest, committed: CommandResult[Any]) -> None:
    try:
        project_revocation(committed)
    except ServiceUnavailable:
        note = "Redis is unavailable: the workers complete this once it has recovered."
        messages.warning(request, note)
