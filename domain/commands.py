"""What people can do to Rollcall: frozen commands, and the functions that carry them out.

Each takes the units of work it may open and the server's keys, and returns what has to happen
after the commit: a profile to publish and outbox rows to wake.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from domain import code, session
from domain.address import Address, Channel
from domain.errors import AddressTaken, CodeExpired, CodeInvalid, InvalidToken, TooManyAttempts
from domain.keys import KeyRing
from domain.person import LiveSession, Person
from domain.ports import Confirmation, Units


@dataclass(frozen=True, slots=True)
class Committed:
    """What a command has committed, and what must follow: `person` is the newest state."""

    person: Person
    outbox_ids: list[int]


@dataclass(frozen=True, slots=True)
class SignUp:
    """A new person. All fields are as the parsers of `domain.person` and `.address` return them."""

    name: str
    surname: str
    email: Address
    phone: Address
    hobbies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SignedUp:
    """A person who has signed up; `token` opens the session that ends at `expires_at`."""

    committed: Committed
    token: str
    expires_at: datetime


def sign_up(
    command: SignUp, units: Units, keys: KeyRing, now: datetime, session_lifetime: timedelta
) -> SignedUp:
    """Make a person, unconfirmed, with a session; both addresses get a message.

    A known address is not refused: that would tell strangers who is registered.
    """
    person = Person(
        id=uuid4(),
        version=1,
        name=command.name,
        surname=command.surname,
        email=command.email.value,
        phone=command.phone.value,
        hobbies=command.hobbies,
        email_verified=False,
        phone_verified=False,
        sessions=(),
    )
    expires_at = (now + session_lifetime).replace(microsecond=0)
    token, digest = session.issue(keys, person.id, person.version)
    person = replace(person, sessions=(LiveSession(digest, expires_at),))
    with units() as unit:
        addresses = [command.email, command.phone]
        salts = [code.new_salt() for _ in addresses]
        outbox_ids = unit.sign_up(person, addresses, salts, keys.current.id)
    return SignedUp(Committed(person, outbox_ids), token, expires_at)


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


def authenticate(token: str, units: Units, keys: KeyRing, now: datetime) -> UUID:
    """Whose bearer token this is, by Postgres: the door for writes. Raises `InvalidToken`."""
    claims = session.check(keys, token)
    with units() as unit:
        person_id = unit.live_session(claims.digest, now)
    if person_id != claims.person_id:
        raise InvalidToken
    return person_id


def confirm_by_code(command: ConfirmByCode, units: Units, keys: KeyRing) -> Committed | None:
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


def confirm_by_link(command: ConfirmByLink, units: Units, keys: KeyRing) -> Committed | None:
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
) -> Committed | None:
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
