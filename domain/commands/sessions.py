"""Authenticates writes, signs people in by a code, and revokes sessions."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from domain.commands.ports import (
    AccountUnitOfWorkFactory,
    CommandResult,
    SignInUnitOfWorkFactory,
    UnitOfWorkFactory,
)
from domain.model import one_time_code, session_token
from domain.model.address import Address
from domain.model.errors import InvalidCode, InvalidToken, TooManyAttempts
from domain.model.keyring import Keyring
from domain.model.person import ActiveSession, Person
from domain.model.session_token import TokenClaims


def authenticate(
    token: str, unit_of_work: UnitOfWorkFactory, keyring: Keyring, now: datetime
) -> UUID:
    """Returns the id of the token's person, according to Postgres. Raises `InvalidToken`."""
    claims = session_token.verify_token(keyring, token)
    with unit_of_work() as uow:
        person_id = uow.find_active_session(claims.digest, now)
    if person_id != claims.person_id:
        raise InvalidToken
    return person_id


def request_sign_in_code(
    address: Address, unit_of_work: SignInUnitOfWorkFactory, keyring: Keyring
) -> list[int]:
    """Sends a code if that address is verified; returns the ids of outbox entries to enqueue.

    Does the same work for every address, and returns nothing that reveals whether it is known.
    """
    with unit_of_work() as uow:
        return uow.create_sign_in_challenge(
            address,
            _address_hashes(keyring, address),
            one_time_code.generate_salt(),
            keyring.signing_key.id,
        )


@dataclass(frozen=True, slots=True)
class SignIn:
    """An address, and the six digits that were sent to it."""

    address: Address
    code: str


@dataclass(frozen=True, slots=True)
class SignInResult:
    """A new session; `token` is valid until `expires_at`."""

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
    """Creates a session for the person who has verified that address and has the code.

    The attempt is recorded and committed before the comparison. Raises `InvalidCode` and
    `TooManyAttempts`, for known and unknown addresses alike.
    """
    address = command.address
    with unit_of_work() as uow:
        attempt = uow.record_sign_in_attempt(address, _address_hashes(keyring, address))
    if not attempt.allowed:
        raise TooManyAttempts(attempt.retry_after)
    if attempt.context is None:
        raise InvalidCode
    if not one_time_code.constant_time_equal(
        one_time_code.derive_sign_in_code(keyring, attempt.context), command.code
    ):
        raise InvalidCode
    expires_at = (now + session_lifetime).replace(microsecond=0)
    with unit_of_work() as uow:
        person = uow.consume_sign_in_code(attempt.challenge_id, address)
        token, digest = session_token.issue_token(keyring, person.id, person.version + 1)
        result = uow.create_session(person.id, ActiveSession(digest, expires_at))
    return SignInResult(result, token, expires_at)


def _address_hashes(keyring: Keyring, address: Address) -> list[bytes]:
    return keyring.macs_with_all_keys(
        b"sign-in address", address.channel.encode(), address.canonical.encode()
    )


def revoke_session(
    claims: TokenClaims, unit_of_work: AccountUnitOfWorkFactory, now: datetime
) -> CommandResult[Person]:
    """Revokes the session of the token. Raises `InvalidToken`."""
    with unit_of_work() as uow:
        person = uow.lock_person_by_token(claims, now)
        uow.revoke_sessions(person.id, claims.digest)
        return uow.bump_version(person.id)


def revoke_all_sessions(
    claims: TokenClaims, unit_of_work: AccountUnitOfWorkFactory, now: datetime
) -> CommandResult[Person]:
    """Revokes all sessions of the token's person. Raises `InvalidToken`."""
    with unit_of_work() as uow:
        person = uow.lock_person_by_token(claims, now)
        uow.revoke_sessions(person.id)
        return uow.bump_version(person.id)


def revoke_sessions_of_person(
    person_id: UUID, unit_of_work: AccountUnitOfWorkFactory
) -> CommandResult[Person] | None:
    """Revokes all sessions of a person, for an operator; None if there is no such person."""
    with unit_of_work() as uow:
        if not uow.lock_person(person_id):
            return None
        uow.revoke_sessions(person_id)
        return uow.bump_version(person_id)
