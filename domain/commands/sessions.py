"""Authenticates writes, signs people in by a code, lists and revokes sessions."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from domain.commands.ports import (
    CommandResult,
    OutboxRef,
    StoredSession,
    UnitOfWork,
    UnitOfWorkFactory,
)
from domain.model import one_time_code, session_token
from domain.model.address import Address
from domain.model.errors import InvalidCode, InvalidToken, NotFound
from domain.model.keyed_hash import hash_address, hash_network
from domain.model.keyring import Keyring
from domain.model.person import ActiveSession, Person, SessionClient
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
        if uow.find_session(claims, now) is None:
            raise InvalidToken
    return claims.person_id


@dataclass(frozen=True, slots=True)
class RequestedChallenge:
    """A sign-in challenge: its token, until when its code can be entered at least, when a further
    message can follow, and the outbox entries to enqueue.
    """

    token: str = field(repr=False)
    expires_at: datetime
    resend_available_at: datetime
    outbox_refs: list[OutboxRef]


def request_sign_in_code(
    address: Address,
    network: str,
    unit_of_work: UnitOfWorkFactory,
    keyring: Keyring,
    now: datetime,
) -> RequestedChallenge:
    """Creates a challenge, whose code is sent if that address is verified.

    Does the same work for every address, and returns nothing that reveals whether it is known.
    Neither a further challenge nor its attempts affect those that others have requested.
    """
    seed = one_time_code.generate_seed(keyring)
    addresses, networks = hash_address(keyring, address), hash_network(keyring, network)
    with unit_of_work() as uow:
        row_id, cooldown, outbox_refs = uow.create_sign_in_challenge(
            address, addresses, networks, seed
        )
    token = one_time_code.derive_challenge_token(keyring, row_id, seed) or ""
    return RequestedChallenge(
        token, now + one_time_code.SIGN_IN_LIFETIME, now + cooldown, outbox_refs
    )


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in: the token of a challenge, the code (normalized) and the client's network, by which
    messages are counted.
    """

    challenge: str = field(repr=False)
    code: str = field(repr=False)
    network: str
    client: SessionClient


def sign_in(
    command: SignIn,
    unit_of_work: UnitOfWorkFactory,
    keyring: Keyring,
    now: datetime,
    session_lifetime: timedelta,
) -> NewSession:
    """Creates a session for the person who has verified the challenge's address and received its
    code.

    The attempt is recorded and committed before the comparison. Raises `InvalidCode` and
    `TooManyAttempts`, for known and unknown addresses alike.
    """
    row_id = one_time_code.parse_token(command.challenge)
    if row_id is None:
        raise InvalidCode
    with unit_of_work() as uow:
        challenge = uow.record_sign_in_attempt(row_id, command.challenge)
    expected = one_time_code.derive_code(keyring, challenge.context, one_time_code.SIGN_IN)
    if not one_time_code.constant_time_equal(expected, command.code) or not challenge.is_usable:
        raise InvalidCode
    with unit_of_work() as uow:
        person = uow.consume_sign_in_code(row_id, hash_network(keyring, command.network))
        return start_session(uow, person, keyring, now + session_lifetime, command.client)


def start_session(
    uow: UnitOfWork, person: Person, keyring: Keyring, expires_at: datetime, client: SessionClient
) -> NewSession:
    """Creates a session of a locked person; its token carries their next version."""
    expires_at = expires_at.replace(microsecond=0)
    token, digest = session_token.issue_token(keyring, person.id, person.version + 1)
    result = uow.create_session(person.id, ActiveSession(digest, expires_at), client)
    return NewSession(result, token, expires_at)


def list_sessions(
    claims: TokenClaims, unit_of_work: UnitOfWorkFactory, now: datetime
) -> tuple[list[StoredSession], UUID]:
    """Returns the active sessions of the token's person, newest first, and the id of the token's
    own. Raises `InvalidToken`.
    """
    with unit_of_work() as uow:
        current = uow.find_session(claims, now)
        if current is None:
            raise InvalidToken
        return uow.list_sessions(claims.person_id, now), current.id


def revoke_session(
    claims: TokenClaims,
    unit_of_work: UnitOfWorkFactory,
    now: datetime,
    session_id: UUID | None = None,
) -> CommandResult[Person]:
    """Revokes the session of the token, or another one of the same person.

    Raises `InvalidToken`, and `NotFound` if the person has no active session with that id.
    """
    with unit_of_work() as uow:
        person = uow.lock_person_by_token(claims, now)
        digest = claims.digest
        if session_id is not None:
            sessions = {each.id: each for each in uow.list_sessions(person.id, now)}
            if session_id not in sessions:
                raise NotFound
            digest = sessions[session_id].digest
        uow.revoke_sessions(person.id, digest)
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
