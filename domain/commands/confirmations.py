"""Confirming an address, and asking for another message about it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from domain import code
from domain.address import Channel
from domain.errors import AddressTaken, CodeExpired, CodeInvalid, RateLimited, TooManyAttempts
from domain.keys import KeyRing
from domain.person import Person
from domain.ports import AccountUnit, AccountUnits, Committed, Confirmation, Unit, Units
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
    with units() as unit:
        confirmation = _of_link(command.token, unit, keys)
    if confirmation.link_expired and not confirmation.confirmed:
        raise CodeExpired
    expected = code.link_token_for(keys, confirmation.seed)
    return _confirm(confirmation, expected, command.token, units)


@dataclass(frozen=True, slots=True)
class Link:
    """What the holder of an e-mail's link may know before they use it: who signed up with their
    address, and how it stands.
    """

    name: str
    state: Literal["open", "confirmed", "expired"]


def look_at_link(token: str, units: Units, keys: KeyRing) -> Link:
    """What a link is about. Nothing is written, and nothing is counted.

    A claim that somebody else has answered looks like an open one (DESIGN 3); a link that a newer
    one has replaced is as good as out of date. Raises `CodeInvalid`.
    """
    with units() as unit:
        confirmation = _of_link(token, unit, keys)
        name = unit.name_of(confirmation.seed.person_id)
    if name is None:
        raise CodeInvalid
    if confirmation.confirmed:
        return Link(name, "confirmed")
    over = confirmation.link_expired or confirmation.ended
    return Link(name, "expired" if over else "open")


def _of_link(token: str, unit: Unit, keys: KeyRing) -> Confirmation:
    """The confirmation that a link is about: only the holder of the right link learns of it."""
    row_id = code.row_of_link(token)
    confirmation = None if row_id is None else unit.confirmation(row_id)
    if confirmation is None or not code.same(code.link_token_for(keys, confirmation.seed), token):
        raise CodeInvalid
    return confirmation


def _confirm(
    confirmation: Confirmation, expected: str | None, given: str, units: Units
) -> Committed[Person] | None:
    if confirmation.void or confirmation.ended or not code.same(expected, given):
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
        return _resend(unit, person.id, command.channel, keys, now)


def resend_for(
    person_id: UUID, channel: Channel, units: AccountUnits, keys: KeyRing, now: datetime
) -> Resent | None:
    """As `resend`, when an operator wants it, within the same budgets; None if there is no such
    person. Raises `RateLimited`.
    """
    with units() as unit:
        if not unit.exists(person_id):
            return None
        return _resend(unit, person_id, channel, keys, now)


def _resend(
    unit: AccountUnit, person_id: UUID, channel: Channel, keys: KeyRing, now: datetime
) -> Resent:
    waiting = unit.waiting_address(person_id, channel)
    if waiting is None:
        return Resent([], None)
    if wait := unit.resend_wait(person_id, channel):
        raise RateLimited(wait)
    address, replaces = waiting
    outbox_ids = unit.open_confirmation(
        person_id, address, code.new_salt(), keys.current.id, replaces
    )
    wait = unit.resend_wait(person_id, channel)
    return Resent(outbox_ids, now + timedelta(seconds=wait))
