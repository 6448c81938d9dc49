"""Authenticates writes, signs people in by a code, and revokes sessions."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from domain.commands.ports import CommandResult, UnitOfWork, UnitOfWorkFactory
from domain.model import one_time_code, session_token
from domain.model.address import Address
from domain.model.errors import InvalidCode, InvalidToken
from domain.model.keyring import Keyring
from domain.model.person import ActiveSession, Person
from domain.model.session_token import TokenClaims


@dataclass(frozen=True, slots=True, repr=False)
class NewSession:
    """A person with a new session, whose `token` is valid until `expires_at`.

    `replayed`: the person had signed up before, by the same idempotency key.
    """

    result: CommandResult[Person]
    token: str
    expires_at: datetime
    replayed: bool = False


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
    address: Address, unit_of_work: UnitOfWorkFactory, keyring: Keyring
) -> list[int]:
    """Sends a code if that address is verified; returns the ids of outbox entries to enqueue.

    Does the same work for every address, and returns nothing that reveals whether it is known.
    """
    hashes, seed = hash_sign_in_address(keyring, address), one_time_code.generate_seed(keyring)
    with unit_of_work() as uow:
        return uow.create_sign_in_challenge(address, hashes, seed)


def sign_in(
    address: Address,
    code: str,
    unit_of_work: UnitOfWorkFactory,
    keyring: Keyring,
    now: datetime,
    session_lifetime: timedelta,
) -> NewSession:
    """Creates a session for the person who has verified that address and received that code.

    The attempt is recorded and committed before the comparison. Raises `InvalidCode` and
    `TooManyAttempts`, for known and unknown addresses alike.
    """
    with unit_of_work() as uow:
        context = uow.record_sign_in_attempt(address, hash_sign_in_address(keyring, address))
    if context is None:
        raise InvalidCode
    expected = one_time_code.derive_code(keyring, context, one_time_code.SIGN_IN)
    if not one_time_code.constant_time_equal(expected, code):
        raise InvalidCode
    with unit_of_work() as uow:
        person = uow.consume_sign_in_code(context.row_id, address)
        return start_session(uow, person, keyring, now + session_lifetime)


def hash_sign_in_address(keyring: Keyring, address: Address) -> list[bytes]:
    """Returns the keyed hashes by which challenges are found, the signing key's first."""
    channel, canonical = address.channel.encode(), address.canonical.encode()
    return keyring.macs_with_all_keys(b"sign-in address", channel, canonical)


def start_session(
    uow: UnitOfWork, person: Person, keyring: Keyring, expires_at: datetime
) -> NewSession:
    """Creates a session of a locked person; its token carries their next version."""
    expires_at = expires_at.replace(microsecond=0)
    token, digest = session_token.issue_token(keyring, person.id, person.version + 1)
    result = uow.create_session(person.id, ActiveSession(digest, expires_at))
    return NewSession(result, token, expires_at)


def revoke_session(
    claims: TokenClaims, unit_of_work: UnitOfWorkFactory, now: datetime
) -> CommandResult[Person]:
    """Revokes the session of the token. Raises `InvalidToken`."""
    with unit_of_work() as uow:
        person = uow.lock_person_by_token(claims, now)
        uow.revoke_sessions(person.id, claims.digest)
        return uow.bump_version(person.id)


def revoke_all_sessions(
    claims: TokenClaims, unit_of_work: UnitOfWorkFactory, now: datetime
) -> CommandResult[Person]:
    """Revokes all sessions of the token's person. Raises `InvalidToken`."""
    with unit_of_work() as uow:
        person = uow.lock_person_by_token(claims, now)
        uow.revoke_sessions(person.id)
        return uow.bump_version(person.id)


def revoke_sessions_of_person(
    person_id: UUID, unit_of_work: UnitOfWorkFactory
) -> CommandResult[Person] | None:
    """Revokes all sessions of a person, for an operator; None if there is no such person."""
    with unit_of_work() as uow:
        if not uow.lock_person(person_id):
            return None
        uow.revoke_sessions(person_id)
        return uow.bump_version(person_id)
