"""Signing up, changing one's own data, and leaving for good."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from domain import code, profile, session
from domain.address import Address, Channel, key_of
from domain.errors import InvalidToken, PreconditionFailed
from domain.keys import KeyRing
from domain.person import Gone, LiveSession, Person
from domain.ports import (
    AccountUnit,
    AccountUnits,
    Committed,
    RepeatableUnits,
    SignUpUnit,
    SignUpUnits,
)
from domain.session import Token


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

    committed: Committed[Person]
    token: str
    expires_at: datetime
    replayed: bool = False


def sign_up(
    command: SignUp, units: SignUpUnits, keys: KeyRing, now: datetime, session_lifetime: timedelta
) -> SignedUp:
    """Make a person, unconfirmed, with a session; both addresses get a message.

    A known address is not refused: that would tell strangers who is registered.
    """
    with units() as unit:
        return _sign_up(command, unit, keys, (now + session_lifetime).replace(microsecond=0))


def sign_up_once(
    command: SignUp,
    idempotency_key: str,
    units: RepeatableUnits,
    keys: KeyRing,
    now: datetime,
    session_lifetime: timedelta,
) -> SignedUp:
    """As `sign_up`; but the same key and body again give the same person and send nothing.

    A fresh session then replaces the one issued before, whose token may not have arrived. After
    the IETF draft "The Idempotency-Key HTTP Header Field". Raises `IdempotencyInProgress`,
    `IdempotencyMismatch`, `IdempotencyClosed`.
    """
    key_hashes = keys.macs(b"idempotency key", idempotency_key.encode())
    texts = (command.name, command.surname, command.email.value, command.phone.value)
    body = [text.encode() for text in (*texts, *command.hobbies)]
    body_hashes = keys.macs(b"idempotency body", *body)
    expires_at = (now + session_lifetime).replace(microsecond=0)
    with units() as unit:
        person = unit.signed_up_with(key_hashes, body_hashes)
        if person is None:
            signed_up = _sign_up(command, unit, keys, expires_at)
            unit.remember(key_hashes[0], body_hashes[0], signed_up.committed.person.id)
            return signed_up
        unit.end_sessions(person.id)
        token, digest = session.issue(keys, person.id, person.version + 1)
        committed = unit.open_session(person.id, LiveSession(digest, expires_at))
    return SignedUp(committed, token, expires_at, replayed=True)


def _sign_up(command: SignUp, unit: SignUpUnit, keys: KeyRing, expires_at: datetime) -> SignedUp:
    person_id, version = uuid4(), 1
    token, digest = session.issue(keys, person_id, version)
    person = Person(
        id=person_id,
        version=version,
        name=command.name,
        surname=command.surname,
        email=command.email.value,
        phone=command.phone.value,
        hobbies=command.hobbies,
        email_verified=False,
        phone_verified=False,
        sessions=(LiveSession(digest, expires_at),),
    )
    addresses = [command.email, command.phone]
    salts = [code.new_salt() for _ in addresses]
    outbox_ids = unit.sign_up(person, addresses, salts, keys.current.id)
    return SignedUp(Committed(person, outbox_ids), token, expires_at)


@dataclass(frozen=True, slots=True)
class Update:
    """What a person changes of their own profile; None is left as it is.

    `if_match` are the ETags of which the profile must have one now (None: any will do).
    """

    token: Token
    if_match: frozenset[bytes] | None = None
    name: str | None = None
    surname: str | None = None
    email: Address | None = None
    phone: Address | None = None
    hobbies: tuple[str, ...] | None = None


def update(command: Update, units: AccountUnits, keys: KeyRing, now: datetime) -> Committed[Person]:
    """Change a profile. A new address is sent a code, and the codes of the one before end.

    A confirmed address stays in the profile until the new one is confirmed, and is told. Raises
    `InvalidToken`, `PreconditionFailed`, `RateLimited`.
    """
    with units() as unit:
        before = unit.caller(command.token, now)
        etag = profile.etag_of(profile.body_of(before))
        if command.if_match is not None and etag not in command.if_match:
            raise PreconditionFailed
        after = replace(
            before,
            name=before.name if command.name is None else command.name,
            surname=before.surname if command.surname is None else command.surname,
            hobbies=before.hobbies if command.hobbies is None else command.hobbies,
        )
        outbox_ids: list[int] = []
        for address in (command.email, command.phone):
            if address is not None:
                after, more = _change_address(unit, after, address, keys)
                outbox_ids += more
        if after == before:
            return Committed(before, outbox_ids)
        unit.save(after)
        committed = unit.changed(before.id)
    return Committed(committed.person, committed.outbox_ids + outbox_ids)


def _change_address(
    unit: AccountUnit, person: Person, address: Address, keys: KeyRing
) -> tuple[Person, list[int]]:
    """The person with the address that shows from now on, and the messages' outbox rows."""
    channel = address.channel
    shown: str = getattr(person, channel)
    verified: bool = getattr(person, f"{channel}_verified")
    if address.key == key_of(channel, shown):
        if verified:
            unit.end_confirmations(person.id, channel)  # whatever should have replaced it
        return _with_address(person, address), []
    waiting = unit.waiting_address(person.id, channel)
    if waiting is not None and waiting[0].key == address.key:
        return person, []
    outbox_ids = unit.open_confirmation(
        person.id, address, code.new_salt(), keys.current.id, shown if verified else ""
    )
    return person if verified else _with_address(person, address), outbox_ids


def _with_address(person: Person, address: Address) -> Person:
    if address.channel is Channel.EMAIL:
        return replace(person, email=address.value)
    return replace(person, phone=address.value)


def leave(token: Token, units: AccountUnits, now: datetime) -> Committed[Gone]:
    """Forget the caller. Raises `InvalidToken`."""
    with units() as unit:
        gone = unit.forget(unit.caller(token, now).id)
        if gone is None:
            raise InvalidToken
    return gone


def forget(
    person_id: UUID, units: AccountUnits, *, unless_confirmed: bool = False
) -> Committed[Gone] | None:
    """Forget a person, as an operator wants it, or the calendar: then unless they have confirmed
    an address. None if there is no such person.
    """
    with units() as unit:
        return unit.forget(person_id, unless_confirmed)
