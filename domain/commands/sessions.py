"""Who is calling, signing in by a code, and signing out."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from domain import code, session
from domain.address import Address
from domain.errors import InvalidCode, InvalidToken, TooManyAttempts
from domain.keys import Keyring
from domain.person import ActiveSession, Person
from domain.ports import (
    AccountUnitOfWorkFactory,
    CommandResult,
    SignInUnitOfWorkFactory,
    UnitOfWorkFactory,
)
from domain.session import TokenClaims


def authenticate(
    token: str, unit_of_work: UnitOfWorkFactory, keyring: Keyring, now: datetime
) -> UUID:
    """Whose bearer token this is, by Postgres: the door for writes. Raises `InvalidToken`."""
    claims = session.verify_token(keyring, token)
    with unit_of_work() as uow:
        person_id = uow.find_active_session(claims.digest, now)
    if person_id != claims.person_id:
        raise InvalidToken
    return person_id


def request_sign_in_code(
    address: Address, unit_of_work: SignInUnitOfWorkFactory, keyring: Keyring
) -> list[int]:
    """Have a code sent, if somebody has confirmed that address; returns outbox ids to wake.

    The same work is done for every address, and nothing tells whether it is known.
    """
    with unit_of_work() as uow:
        return uow.create_sign_in_challenge(
            address, _address_hashes(keyring, address), code.generate_salt(), keyring.signing_key.id
        )


@dataclass(frozen=True, slots=True)
class SignIn:
    """An address as somebody typed it, and the six digits that were sent there."""

    address: Address
    code: str


@dataclass(frozen=True, slots=True)
class SignInResult:
    """A session that was opened; `token` is good until `expires_at`."""

    result: CommandResult[Person]
    token: str
    expires_at: datetime


def sign_in(
    command: SignIn,
    unit_of_work: SignInUnitOfWorkFactory,
    keyring: Keyring,
    now: datetime,
    session_lifetime: timedelta,
) -> SignInResult:
    """Open a session for whoever has confirmed that address and read the code.

    The try is counted and committed before the code is looked at. Raises `CodeInvalid` and
    `TooManyAttempts`, and these alike for known and unknown addresses.
    """
    address = command.address
    with unit_of_work() as unit:
        attempt = unit.record_sign_in_attempt(address, _address_hashes(keyring, address))
    if not attempt.allowed:
        raise TooManyAttempts(attempt.retry_after)
    if attempt.context is None:
        raise InvalidCode
    if not code.constant_time_equal(
        code.derive_sign_in_code(keyring, attempt.context), command.code
    ):
        raise InvalidCode
    expires_at = (now + session_lifetime).replace(microsecond=0)
    with unit_of_work() as uow:
        person = uow.consume_sign_in_code(attempt.challenge_id, address)
        token, digest = session.issue_token(keyring, person.id, person.version + 1)
        result = uow.create_session(person.id, ActiveSession(digest, expires_at))
    return SignInResult(result, token, expires_at)


def _address_hashes(keyring: Keyring, address: Address) -> list[bytes]:
    return keyring.macs_with_all_keys(
        b"sign-in address", address.channel.encode(), address.canonical.encode()
    )


def sign_out(
    claims: TokenClaims, unit_of_work: AccountUnitOfWorkFactory, now: datetime, *, everywhere: bool
) -> CommandResult[Person]:
    """End the caller's session, or all sessions of theirs. Raises `InvalidToken`."""
    with unit_of_work() as uow:
        person = uow.lock_person_by_token(claims, now)
        uow.revoke_sessions(person.id, None if everywhere else claims.digest)
        return uow.bump_version(person.id)


def revoke_sessions_of_person(
    person_id: UUID, unit_of_work: AccountUnitOfWorkFactory
) -> CommandResult[Person] | None:
    """End all sessions of a person, as an operator wants it; None if there is no such person."""
    with unit_of_work() as uow:
        if not uow.lock_person(person_id):
            return None
        uow.revoke_sessions(person_id)
        return uow.bump_version(person_id)
