"""Who is calling, signing in by a code, and signing out."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from domain import code, session
from domain.address import Address
from domain.errors import CodeInvalid, InvalidToken, TooManyAttempts
from domain.keys import KeyRing
from domain.person import LiveSession, Person
from domain.ports import AccountUnits, Committed, SignInUnits, Units
from domain.session import Token


def authenticate(token: str, units: Units, keys: KeyRing, now: datetime) -> UUID:
    """Whose bearer token this is, by Postgres: the door for writes. Raises `InvalidToken`."""
    claims = session.check(keys, token)
    with units() as unit:
        person_id = unit.live_session(claims.digest, now)
    if person_id != claims.person_id:
        raise InvalidToken
    return person_id


def ask_to_sign_in(address: Address, units: SignInUnits, keys: KeyRing) -> list[int]:
    """Have a code sent, if somebody has confirmed that address; returns outbox ids to wake.

    The same work is done for every address, and nothing tells whether it is known.
    """
    with units() as unit:
        return unit.open_sign_in(address, _hashes(keys, address), code.new_salt(), keys.current.id)


@dataclass(frozen=True, slots=True)
class SignIn:
    """An address as somebody typed it, and the six digits that were sent there."""

    address: Address
    code: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session that was opened; `token` is good until `expires_at`."""

    committed: Committed[Person]
    token: str
    expires_at: datetime


def sign_in(
    command: SignIn, units: SignInUnits, keys: KeyRing, now: datetime, session_lifetime: timedelta
) -> SignedIn:
    """Open a session for whoever has confirmed that address and read the code.

    The try is counted and committed before the code is looked at. Raises `CodeInvalid` and
    `TooManyAttempts`, and these alike for known and unknown addresses.
    """
    address = command.address
    with units() as unit:
        tried = unit.count_sign_in(address, _hashes(keys, address))
    if not tried.allowed:
        raise TooManyAttempts(tried.retry_after)
    if tried.seed is None:
        raise CodeInvalid
    if not code.same(code.sign_in_code_for(keys, tried.seed), command.code):
        raise CodeInvalid
    expires_at = (now + session_lifetime).replace(microsecond=0)
    with units() as unit:
        person = unit.sign_in(tried.row_id, address)
        token, digest = session.issue(keys, person.id, person.version + 1)
        committed = unit.open_session(person.id, LiveSession(digest, expires_at))
    return SignedIn(committed, token, expires_at)


def _hashes(keys: KeyRing, address: Address) -> list[bytes]:
    return keys.macs(b"sign-in address", address.channel.encode(), address.key.encode())


def sign_out(
    token: Token, units: AccountUnits, now: datetime, *, everywhere: bool
) -> Committed[Person]:
    """End the caller's session, or all sessions of theirs. Raises `InvalidToken`."""
    with units() as unit:
        person = unit.caller(token, now)
        unit.end_sessions(person.id, None if everywhere else token.digest)
        return unit.changed(person.id)


def end_sessions(person_id: UUID, units: AccountUnits) -> Committed[Person] | None:
    """End all sessions of a person, as an operator wants it; None if there is no such person."""
    with units() as unit:
        if not unit.exists(person_id):
            return None
        unit.end_sessions(person_id)
        return unit.changed(person_id)
