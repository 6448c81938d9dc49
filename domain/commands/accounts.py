"""Signs people up, updates and deletes profiles."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from domain import profile
from domain.commands.ports import CommandResult, OutboxRef, UnitOfWork, UnitOfWorkFactory
from domain.commands.sessions import NewSession, start_session
from domain.model import one_time_code, session_token
from domain.model.address import Address, Channel
from domain.model.errors import InvalidToken, PreconditionFailed
from domain.model.keyed_hash import hash_network
from domain.model.keyring import Keyring
from domain.model.person import ActiveSession, Person, SessionClient, Tombstone
from domain.model.session_token import TokenClaims


@dataclass(frozen=True, slots=True, repr=False)
class SignUp:
    """A new person. The fields are results of the parsers in `domain.model.person`, `.address` and
    `.language`; `network` is the client's, by which messages are counted. Without a `locale`
    messages are in `preferred_language`, that of the client, which is not part of what a repeated
    request must have in common.
    """

    name: str
    surname: str
    email: Address
    phone: Address
    hobbies: tuple[str, ...]
    network: str
    client: SessionClient
    locale: str | None = None
    preferred_language: str | None = None


def sign_up(
    command: SignUp,
    unit_of_work: UnitOfWorkFactory,
    keyring: Keyring,
    now: datetime,
    session_lifetime: timedelta,
) -> NewSession:
    """Creates an unverified person with a session; both addresses receive a message.

    A known address is accepted: a refusal would reveal who is registered.
    """
    with unit_of_work() as uow:
        return _sign_up(command, uow, keyring, now + session_lifetime)


def sign_up_idempotently(
    command: SignUp,
    idempotency_key: str,
    unit_of_work: UnitOfWorkFactory,
    keyring: Keyring,
    now: datetime,
    session_lifetime: timedelta,
) -> NewSession:
    """As `sign_up`; but a repeated key and body return the same person and send nothing.

    A new session then replaces the one before, whose token may not have arrived. After the IETF
    draft "The Idempotency-Key HTTP Header Field". Raises `IdempotencyInProgress`,
    `IdempotencyMismatch`, `IdempotencyClosed`.
    """
    key_hashes = keyring.macs_with_all_keys(b"idempotency key", idempotency_key.encode())
    request_fingerprints = _fingerprints(command, keyring)
    expires_at = now + session_lifetime
    with unit_of_work() as uow:
        person = uow.find_sign_up_by_idempotency_key(
            idempotency_key, key_hashes, request_fingerprints
        )
        if person is not None:
            uow.revoke_sessions(person.id)
            new_session = start_session(uow, person, keyring, expires_at, command.client)
            return replace(new_session, replayed=True)
        session = _sign_up(command, uow, keyring, expires_at)
        person_id = session.result.person.id
        uow.store_idempotency_key(key_hashes[0], request_fingerprints[0], person_id)
        return session


def _fingerprints(command: SignUp, keyring: Keyring) -> list[bytes]:
    """Returns what a repeated request must have in common, as a MAC by every key."""
    texts = (command.name, command.surname, command.email.value, command.phone.value)
    body = [text.encode() for text in (*texts, *command.hobbies)]
    if command.locale is not None:
        body.append(f"\0{command.locale}".encode())  # no hobby: they have no control characters
    return keyring.macs_with_all_keys(b"idempotency body", *body)


def _sign_up(
    command: SignUp, uow: UnitOfWork, keyring: Keyring, expires_at: datetime
) -> NewSession:
    person_id, version = uuid4(), 1
    expires_at = expires_at.replace(microsecond=0)
    token, digest = session_token.issue_token(keyring, person_id, version)
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
        sessions=(ActiveSession(digest, expires_at),),
    )
    seeds = {channel: one_time_code.generate_seed(keyring) for channel in Channel}
    network_hash = hash_network(keyring, command.network)[0]
    locale = command.locale or command.preferred_language
    outbox_refs = uow.sign_up(person, seeds, network_hash, command.client, locale)
    return NewSession(CommandResult(person, outbox_refs), token, expires_at)


type Precondition = Callable[[str], bool]  # whether it holds for the current ETag


def _always(etag: str) -> bool:
    return True


@dataclass(frozen=True, slots=True, repr=False)
class UpdateProfile:
    """The changes to the caller's profile; fields that are None stay. `network` is the client's."""

    claims: TokenClaims
    network: str
    precondition: Precondition = _always
    name: str | None = None
    surname: str | None = None
    email: Address | None = None
    phone: Address | None = None
    hobbies: tuple[str, ...] | None = None
    locale: str | None = None


def update_profile(
    command: UpdateProfile, unit_of_work: UnitOfWorkFactory, keyring: Keyring, now: datetime
) -> CommandResult[Person]:
    """Updates a profile. A new address receives a code, which supersedes those of the one before.

    A verified address stays in the profile until the new one is confirmed; it and the verified
    address of the other channel receive a notice. The locale is not part of the profile: a change
    of it alone does not raise the version.
    Raises `InvalidToken`, `PreconditionFailed`, `RateLimited`.
    """
    with unit_of_work() as uow:
        current = _lock_person(uow, command.claims, command.precondition, now)
        if command.locale is not None:
            uow.set_locale(current.id, command.locale)
        fields = {name: getattr(command, name) for name in ("name", "surname", "hobbies")}
        updated = replace(current, **{k: v for k, v in fields.items() if v is not None})
        outbox_refs: list[OutboxRef] = []
        network_hash = hash_network(keyring, command.network)[0]
        for address in (command.email, command.phone):
            if address is not None:
                updated, new_refs = _change_address(uow, updated, address, keyring, network_hash)
                outbox_refs += new_refs
        if updated == current:
            return CommandResult(current, outbox_refs)
        uow.update_person(updated)
        result = uow.bump_version(current.id)
    return CommandResult(result.person, result.outbox_refs + outbox_refs)


def _change_address(
    uow: UnitOfWork, person: Person, address: Address, keyring: Keyring, network_hash: bytes
) -> tuple[Person, list[OutboxRef]]:
    """Returns the person with the address to show from now on, and the messages' outbox entries."""
    channel = address.channel
    current = Address(channel, getattr(person, channel))
    is_verified: bool = getattr(person, f"{channel}_verified")
    shown: dict[str, Any] = {channel: address.value}
    changed = replace(person, **shown)
    if address.canonical == current.canonical:
        if is_verified:
            uow.supersede_confirmations(person.id, channel)  # of the address that was to replace it
        return changed, []
    pending = uow.get_pending_address(person.id, channel)
    if pending is not None and pending[0].canonical == address.canonical:
        return person, []
    seed = one_time_code.generate_seed(keyring)
    replaced = current.value if is_verified else ""
    outbox_refs = uow.create_confirmation(person.id, address, seed, replaced, network_hash)
    return person if is_verified else changed, outbox_refs


def _lock_person(
    uow: UnitOfWork, claims: TokenClaims, precondition: Precondition, now: datetime
) -> Person:
    """Returns the token's person, locked before the precondition is evaluated."""
    person = uow.lock_person_by_token(claims, now)
    if not precondition(profile.strong_etag(profile.render_body(person)).decode()):
        raise PreconditionFailed
    return person


def delete_profile(
    claims: TokenClaims,
    unit_of_work: UnitOfWorkFactory,
    now: datetime,
    precondition: Precondition = _always,
) -> CommandResult[Tombstone]:
    """Erases the caller. Raises `InvalidToken`, `PreconditionFailed`."""
    with unit_of_work() as uow:
        result = uow.erase(_lock_person(uow, claims, precondition, now).id)
        if result is None:
            raise InvalidToken
    return result


def erase_person(
    person_id: UUID, unit_of_work: UnitOfWorkFactory
) -> CommandResult[Tombstone] | None:
    """Erases a person, for an operator. None if there is no such person."""
    with unit_of_work() as uow:
        return uow.erase(person_id)
