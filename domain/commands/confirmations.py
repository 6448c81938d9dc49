"""Confirming an address, and asking for another message about it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from domain import code
from domain.address import Channel
from domain.errors import (
    AddressAlreadyVerified,
    ExpiredCode,
    InvalidCode,
    RateLimited,
    TooManyAttempts,
)
from domain.keys import Keyring
from domain.person import Person
from domain.ports import (
    AccountUnitOfWork,
    AccountUnitOfWorkFactory,
    CommandResult,
    Confirmation,
    UnitOfWork,
    UnitOfWorkFactory,
)
from domain.session import TokenClaims


@dataclass(frozen=True, slots=True)
class ConfirmByCode:
    """The six digits that a person has read in a message."""

    person_id: UUID
    channel: Channel
    code: str


@dataclass(frozen=True, slots=True)
class ConfirmByLink:
    """The token of an e-mail's link: says by itself whose address it confirms."""

    token: str


def confirm_by_code(
    command: ConfirmByCode, unit_of_work: UnitOfWorkFactory, keyring: Keyring
) -> CommandResult[Person] | None:
    """Confirm the person's address on a channel; None if that code had done so before.

    The try is counted and committed before the code is looked at, so that parallel guesses
    cannot outrun the count. Raises `CodeInvalid`, `CodeExpired`, `TooManyAttempts`.
    """
    with unit_of_work() as uow:
        recorded = uow.record_attempt(command.person_id, command.channel)
    if recorded is None:
        raise InvalidCode
    confirmation, allowed = recorded
    if not allowed:
        raise TooManyAttempts(confirmation.retry_after)
    if confirmation.code_expired and not confirmation.confirmed:
        raise ExpiredCode
    return _confirm(
        confirmation, code.derive_code(keyring, confirmation.context), command.code, unit_of_work
    )


def confirm_by_link(
    command: ConfirmByLink, unit_of_work: UnitOfWorkFactory, keyring: Keyring
) -> CommandResult[Person] | None:
    """Confirm the address that a link was sent to; None if it was confirmed before.

    No tries are counted: nobody guesses 192 bits. Raises `CodeInvalid`, `CodeExpired`.
    """
    with unit_of_work() as uow:
        confirmation = _find_by_link_token(command.token, uow, keyring)
    if confirmation.link_expired and not confirmation.confirmed:
        raise ExpiredCode
    expected = code.derive_link_token(keyring, confirmation.context)
    return _confirm(confirmation, expected, command.token, unit_of_work)


@dataclass(frozen=True, slots=True)
class ConfirmationLink:
    """What the holder of an e-mail's link may know before they use it: who signed up with their
    address, and how it stands.
    """

    name: str
    state: Literal["open", "confirmed", "expired"]


def inspect_link(token: str, unit_of_work: UnitOfWorkFactory, keyring: Keyring) -> ConfirmationLink:
    """What a link is about. Nothing is written, and nothing is counted.

    A claim that somebody else has answered looks like an open one (DESIGN 3); a link that a newer
    one has replaced is as good as out of date. Raises `CodeInvalid`.
    """
    with unit_of_work() as uow:
        confirmation = _find_by_link_token(token, uow, keyring)
        name = uow.get_name(confirmation.context.person_id)
    if name is None:
        raise InvalidCode
    if confirmation.confirmed:
        return ConfirmationLink(name, "confirmed")
    is_expired = confirmation.link_expired or confirmation.superseded
    return ConfirmationLink(name, "expired" if is_expired else "open")


def _find_by_link_token(token: str, uow: UnitOfWork, keyring: Keyring) -> Confirmation:
    """The confirmation that a link is about: only the holder of the right link learns of it."""
    confirmation_id = code.parse_link_token(token)
    confirmation = None if confirmation_id is None else uow.find_confirmation(confirmation_id)
    if confirmation is None or not code.constant_time_equal(
        code.derive_link_token(keyring, confirmation.context), token
    ):
        raise InvalidCode
    return confirmation


def _confirm(
    confirmation: Confirmation, expected: str | None, actual: str, unit_of_work: UnitOfWorkFactory
) -> CommandResult[Person] | None:
    if (
        confirmation.invalidated
        or confirmation.superseded
        or not code.constant_time_equal(expected, actual)
    ):
        raise InvalidCode
    try:
        with unit_of_work() as uow:
            person = uow.confirm(confirmation.context)
            if person is None:
                return None
            outbox_ids = uow.add_projection_entry(person.id)
    except AddressAlreadyVerified:
        # Somebody confirmed it first. To this person it stays an unanswered claim (DESIGN 3).
        raise InvalidCode from None
    return CommandResult(person, outbox_ids)


@dataclass(frozen=True, slots=True)
class ResendConfirmation:
    """A person's wish for another message about the address that they have not confirmed."""

    claims: TokenClaims
    channel: Channel


@dataclass(frozen=True, slots=True)
class ResendResult:
    """`available_at` is when the next message may be asked for; None if nothing waits."""

    outbox_ids: list[int]
    available_at: datetime | None


def resend_confirmation(
    command: ResendConfirmation,
    unit_of_work: AccountUnitOfWorkFactory,
    keyring: Keyring,
    now: datetime,
) -> ResendResult:
    """Send a new code, which ends the old one; nothing if the address is confirmed.

    Raises `InvalidToken`, and `RateLimited` until the next message may be asked for.
    """
    with unit_of_work() as uow:
        person = uow.lock_person_by_token(command.claims, now)
        return _resend(uow, person.id, command.channel, keyring, now)


def resend_for_person(
    person_id: UUID,
    channel: Channel,
    unit_of_work: AccountUnitOfWorkFactory,
    keyring: Keyring,
    now: datetime,
) -> ResendResult | None:
    """As `resend`, when an operator wants it, within the same budgets; None if there is no such
    person. Raises `RateLimited`.
    """
    with unit_of_work() as uow:
        if not uow.lock_person(person_id):
            return None
        return _resend(uow, person_id, channel, keyring, now)


def _resend(
    uow: AccountUnitOfWork, person_id: UUID, channel: Channel, keyring: Keyring, now: datetime
) -> ResendResult:
    pending = uow.get_pending_address(person_id, channel)
    if pending is None:
        return ResendResult([], None)
    if cooldown := uow.resend_cooldown(person_id, channel):
        raise RateLimited(cooldown)
    address, replaces_address = pending
    outbox_ids = uow.create_confirmation(
        person_id, address, code.generate_salt(), keyring.signing_key.id, replaces_address
    )
    cooldown = uow.resend_cooldown(person_id, channel)
    return ResendResult(outbox_ids, now + timedelta(seconds=cooldown))
