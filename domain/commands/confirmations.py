"""Confirms addresses, and resends the messages about them."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from domain.commands.ports import (
    CommandResult,
    Confirmation,
    OutboxRef,
    UnitOfWork,
    UnitOfWorkFactory,
)
from domain.model import one_time_code
from domain.model.address import Channel
from domain.model.errors import ExpiredCode, InvalidCode, RateLimited
from domain.model.keyed_hash import hash_network
from domain.model.keyring import Keyring
from domain.model.person import Person


@dataclass(frozen=True, slots=True)
class ConfirmByCode:
    """A code (normalized) that a person has entered in the session with that digest."""

    person_id: UUID
    channel: Channel
    code: str = field(repr=False)
    session_digest: bytes = field(repr=False)
    network: str


def confirm_by_code(
    command: ConfirmByCode, unit_of_work: UnitOfWorkFactory, keyring: Keyring
) -> CommandResult[Person] | None:
    """Confirms the person's address on a channel; None if that code has done so before.

    The attempt is recorded and committed before the comparison, so that parallel guesses cannot
    exceed the limit. Raises `InvalidCode`, `ExpiredCode`, `TooManyAttempts`.
    """
    with unit_of_work() as uow:
        confirmation = uow.record_confirmation_attempt(command.person_id, command.channel)
    if confirmation.code_expired and not confirmation.confirmed:
        raise ExpiredCode
    expected = one_time_code.derive_code(keyring, confirmation.context)
    if not one_time_code.constant_time_equal(expected, command.code):
        raise InvalidCode
    networks = hash_network(keyring, command.network)
    return _confirm(confirmation, unit_of_work, networks, command.session_digest)


def confirm_by_link(
    token: str, network: str, unit_of_work: UnitOfWorkFactory, keyring: Keyring
) -> CommandResult[Person] | None:
    """Confirms the address that a link was sent to; None if it was confirmed before.

    Attempts are not recorded: 192 bits cannot be guessed. Raises `InvalidCode`, `ExpiredCode`.
    """
    with unit_of_work() as uow:
        confirmation = _find_by_link_token(token, uow, keyring)
    if confirmation.link_expired and not confirmation.confirmed:
        raise ExpiredCode
    return _confirm(confirmation, unit_of_work, hash_network(keyring, network), None)


def _confirm(
    confirmation: Confirmation,
    unit_of_work: UnitOfWorkFactory,
    network_hashes: list[bytes],
    session_digest: bytes | None,
) -> CommandResult[Person] | None:
    if confirmation.invalidated or confirmation.superseded:
        raise InvalidCode
    with unit_of_work() as uow:
        return uow.confirm(confirmation.context, network_hashes, session_digest)


@dataclass(frozen=True, slots=True, repr=False)
class ConfirmationLink:
    """What the holder of a link may see before using it: the name that signed up with their
    address, and the state of the link.
    """

    name: str
    state: Literal["open", "confirmed", "expired"]


def inspect_link(token: str, unit_of_work: UnitOfWorkFactory, keyring: Keyring) -> ConfirmationLink:
    """Returns what a link confirms. Writes nothing, and records no attempt.

    A claim to an address that another person has verified looks open, lest it reveals the owner; a
    superseded link looks expired. Raises `InvalidCode`.
    """
    with unit_of_work() as uow:
        confirmation = _find_by_link_token(token, uow, keyring)
    if confirmation.confirmed:
        return ConfirmationLink(confirmation.name, "confirmed")
    is_expired = confirmation.link_expired or confirmation.superseded
    return ConfirmationLink(confirmation.name, "expired" if is_expired else "open")


def _find_by_link_token(token: str, uow: UnitOfWork, keyring: Keyring) -> Confirmation:
    """Returns the confirmation of a link token. Raises `InvalidCode` unless the token is valid."""
    confirmation_id = one_time_code.parse_token(token)
    confirmation = None if confirmation_id is None else uow.find_confirmation(confirmation_id)
    if confirmation is None or not one_time_code.constant_time_equal(
        one_time_code.derive_link_token(keyring, confirmation.context), token
    ):
        raise InvalidCode
    return confirmation


@dataclass(frozen=True, slots=True)
class ResendResult:
    """`available_at` is when another message may be requested; None if nothing is unconfirmed."""

    outbox_refs: list[OutboxRef]
    available_at: datetime | None


def resend_confirmation(
    person_id: UUID,
    channel: Channel,
    unit_of_work: UnitOfWorkFactory,
    keyring: Keyring,
    now: datetime,
    network: str | None,
) -> ResendResult | None:
    """Sends a new code, which supersedes the old one; nothing if the address is confirmed.

    `network` is the client's, None for staff. Returns None if there is no such person. Raises
    `RateLimited` during the cooldown.
    """
    with unit_of_work() as uow:
        if not uow.lock_person(person_id):
            return None
        pending = uow.get_pending_address(person_id, channel)
        if pending is None:
            return ResendResult([], None)
        if cooldown := uow.resend_cooldown(person_id, channel):
            raise RateLimited(cooldown)
        address, replaces_address = pending
        seed = one_time_code.generate_seed(keyring)
        network_hash = None if network is None else hash_network(keyring, network)[0]
        outbox_refs = uow.create_confirmation(
            person_id, address, seed, replaces_address, network_hash
        )
        available_at = now + timedelta(seconds=uow.resend_cooldown(person_id, channel))
        return ResendResult(outbox_refs, available_at)
