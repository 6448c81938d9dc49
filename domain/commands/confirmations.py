"""Confirms addresses, and resends the messages about them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from domain.commands.ports import (
    AccountUnitOfWork,
    AccountUnitOfWorkFactory,
    CommandResult,
    Confirmation,
    UnitOfWork,
    UnitOfWorkFactory,
)
from domain.model import one_time_code
from domain.model.address import Channel
from domain.model.errors import (
    AddressAlreadyVerified,
    ExpiredCode,
    InvalidCode,
    RateLimited,
    TooManyAttempts,
)
from domain.model.keyring import Keyring
from domain.model.person import Person
from domain.model.session_token import TokenClaims


@dataclass(frozen=True, slots=True)
class ConfirmByCode:
    """The six digits of a message."""

    person_id: UUID
    channel: Channel
    code: str


@dataclass(frozen=True, slots=True)
class ConfirmByLink:
    """The token of an e-mail's link; it identifies the address that it confirms."""

    token: str


def confirm_by_code(
    command: ConfirmByCode, unit_of_work: UnitOfWorkFactory, keyring: Keyring
) -> CommandResult[Person] | None:
    """Confirms the person's address on a channel; None if that code has done so before.

    The attempt is recorded and committed before the comparison, so that parallel guesses cannot
    exceed the limit. Raises `InvalidCode`, `ExpiredCode`, `TooManyAttempts`.
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
        confirmation,
        one_time_code.derive_code(keyring, confirmation.context),
        command.code,
        unit_of_work,
    )


def confirm_by_link(
    command: ConfirmByLink, unit_of_work: UnitOfWorkFactory, keyring: Keyring
) -> CommandResult[Person] | None:
    """Confirms the address that a link was sent to; None if it was confirmed before.

    Attempts are not recorded: 192 bits cannot be guessed. Raises `InvalidCode`, `ExpiredCode`.
    """
    with unit_of_work() as uow:
        confirmation = _find_by_link_token(command.token, uow, keyring)
    if confirmation.link_expired and not confirmation.confirmed:
        raise ExpiredCode
    expected = one_time_code.derive_link_token(keyring, confirmation.context)
    return _confirm(confirmation, expected, command.token, unit_of_work)


@dataclass(frozen=True, slots=True)
class ConfirmationLink:
    """What the holder of a link may see before using it: the name that signed up with their
    address, and the state of the link.
    """

    name: str
    state: Literal["open", "confirmed", "expired"]


def inspect_link(token: str, unit_of_work: UnitOfWorkFactory, keyring: Keyring) -> ConfirmationLink:
    """Returns what a link confirms. Writes nothing, and records no attempt.

    A claim to an address that another person has verified looks open (DESIGN section 3); a
    superseded link looks expired. Raises `InvalidCode`.
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
    """Returns the confirmation of a link token. Raises `InvalidCode` unless the token is valid."""
    confirmation_id = one_time_code.parse_link_token(token)
    confirmation = None if confirmation_id is None else uow.find_confirmation(confirmation_id)
    if confirmation is None or not one_time_code.constant_time_equal(
        one_time_code.derive_link_token(keyring, confirmation.context), token
    ):
        raise InvalidCode
    return confirmation


def _confirm(
    confirmation: Confirmation, expected: str | None, actual: str, unit_of_work: UnitOfWorkFactory
) -> CommandResult[Person] | None:
    if (
        confirmation.invalidated
        or confirmation.superseded
        or not one_time_code.constant_time_equal(expected, actual)
    ):
        raise InvalidCode
    try:
        with unit_of_work() as uow:
            person = uow.confirm(confirmation.context)
            if person is None:
                return None
            outbox_ids = uow.add_projection_entry(person.id)
    except AddressAlreadyVerified:
        # Another person was first. To this one it remains an open claim (DESIGN section 3).
        raise InvalidCode from None
    return CommandResult(person, outbox_ids)


@dataclass(frozen=True, slots=True)
class ResendConfirmation:
    """A request for another message about the caller's unconfirmed address."""

    claims: TokenClaims
    channel: Channel


@dataclass(frozen=True, slots=True)
class ResendResult:
    """`available_at` is when another message may be requested; None if nothing is unconfirmed."""

    outbox_ids: list[int]
    available_at: datetime | None


def resend_confirmation(
    command: ResendConfirmation,
    unit_of_work: AccountUnitOfWorkFactory,
    keyring: Keyring,
    now: datetime,
) -> ResendResult:
    """Sends a new code, which supersedes the old one; nothing if the address is confirmed.

    Raises `InvalidToken`, and `RateLimited` during the cooldown.
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
    """As `resend_confirmation`, for an operator, within the same quotas; None if there is no such
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
        person_id, address, one_time_code.generate_salt(), keyring.signing_key.id, replaces_address
    )
    cooldown = uow.resend_cooldown(person_id, channel)
    return ResendResult(outbox_ids, now + timedelta(seconds=cooldown))
