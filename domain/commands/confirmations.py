"""Confirming an address, and asking for another message about it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from domain import code
from domain.address import Channel
from domain.errors import AddressTaken, CodeExpired, CodeInvalid, RateLimited, TooManyAttempts
from domain.keys import KeyRing
from domain.person import Person
from domain.ports import AccountUnits, Committed, Confirmation, Units
from domain.session import Token


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
    command: ConfirmByCode, units: Units, keys: KeyRing
) -> Committed[Person] | None:
    """Confirm the person's address on a channel; None if that code had done so before.

    The try is counted and committed before the code is looked at, so that parallel guesses
    cannot outrun the count. Raises `CodeInvalid`, `CodeExpired`, `TooManyAttempts`.
    """
    with units() as unit:
        counted = unit.count_try(command.person_id, command.channel)
    if counted is None:
        raise CodeInvalid
    confirmation, allowed = counted
    if not allowed:
        raise TooManyAttempts(confirmation.retry_after)
    if confirmation.code_expired and not confirmation.confirmed:
        raise CodeExpired
    return _confirm(confirmation, code.code_for(keys, confirmation.seed), command.code, units)


def confirm_by_link(
    command: ConfirmByLink, units: Units, keys: KeyRing
) -> Committed[Person] | None:
    """Confirm the address that a link was sent to; None if it was confirmed before.

    No tries are counted: nobody guesses 192 bits. Raises `CodeInvalid`, `CodeExpired`.
    """
    row_id = code.row_of_link(command.token)
    if row_id is None:
        raise CodeInvalid
    with units() as unit:
        confirmation = unit.confirmation(row_id)
    if confirmation is None:
        raise CodeInvalid
    expected = code.link_token_for(keys, confirmation.seed)
    # Only the holder of the right link learns that it is out of date.
    if not code.same(expected, command.token):
        raise CodeInvalid
    if confirmation.link_expired and not confirmation.confirmed:
        raise CodeExpired
    return _confirm(confirmation, expected, command.token, units)


def _confirm(
    confirmation: Confirmation, expected: str | None, given: str, units: Units
) -> Committed[Person] | None:
    if confirmation.void or not code.same(expected, given):
        raise CodeInvalid
    try:
        with units() as unit:
            person = unit.confirm(confirmation.seed)
            if person is None:
                return None
            outbox_ids = unit.follow_up(person.id)
    except AddressTaken:
        # Somebody confirmed it first. To this person it stays an unanswered claim (DESIGN 3).
        raise CodeInvalid from None
    return Committed(person, outbox_ids)


@dataclass(frozen=True, slots=True)
class Resend:
    """A person's wish for another message about the address that they have not confirmed."""

    token: Token
    channel: Channel


@dataclass(frozen=True, slots=True)
class Resent:
    """`available_at` is when the next message may be asked for; None if nothing waits."""

    outbox_ids: list[int]
    available_at: datetime | None


def resend(command: Resend, units: AccountUnits, keys: KeyRing, now: datetime) -> Resent:
    """Send a new code, which ends the old one; nothing if the address is confirmed.

    Raises `InvalidToken`, and `RateLimited` until the next message may be asked for.
    """
    with units() as unit:
        person = unit.caller(command.token, now)
        waiting = unit.waiting_address(person.id, command.channel)
        if waiting is None:
            return Resent([], None)
        if wait := unit.resend_wait(person.id, command.channel):
            raise RateLimited(wait)
        address, replaces = waiting
        outbox_ids = unit.open_confirmation(
            person.id, address, code.new_salt(), keys.current.id, replaces
        )
        wait = unit.resend_wait(person.id, command.channel)
    return Resent(outbox_ids, now + timedelta(seconds=wait))
