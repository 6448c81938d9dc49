"""Ports of the commands: one Protocol for each kind of unit of work.

`domain.postgres.unit_of_work` implements them all on Postgres; `tests.support.in_memory_uow`
implements sign-up and confirmations in memory, and one contract test runs against both.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.model.address import Address, Channel
from domain.model.one_time_code import DerivationContext
from domain.model.person import ActiveSession, Person, Tombstone
from domain.model.session_token import TokenClaims


@dataclass(frozen=True, slots=True)
class CommandResult[State: Person | Tombstone]:
    """The committed state of a person, and the ids of the outbox entries to enqueue."""

    person: State
    outbox_ids: list[int]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """An address that is to be confirmed, or was.

    No code confirms it if it is `invalidated` (another person has verified the address) or
    `superseded` (by a newer confirmation).
    """

    context: DerivationContext
    confirmed: bool
    invalidated: bool
    superseded: bool
    code_expired: bool
    link_expired: bool
    retry_after: int  # seconds until another attempt is allowed, once none are left


@dataclass(frozen=True, slots=True)
class SignInAttempt:
    """A recorded sign-in attempt. `context` is None if no code that was sent can be valid."""

    allowed: bool
    retry_after: int
    challenge_id: int
    context: DerivationContext | None


class SignUpUnitOfWork(Protocol):
    """One transaction that signs a person up, and does nothing else."""

    def sign_up(
        self, person: Person, addresses: list[Address], salts: list[bytes], key_id: bytes
    ) -> list[int]:
        """Creates a person with their one session, and a confirmation of each address.

        `addresses` are the e-mail address and the phone number, `salts` are theirs, `key_id` is
        that of the key from which codes are derived. Returns the ids of the outbox entries, leased
        as those of `add_projection_entry`: one for the profile, one for each confirmation's
        message.
        """


class UnitOfWork(SignUpUnitOfWork, Protocol):
    """One transaction: committed when it is left without an error."""

    def add_projection_entry(self, person_id: UUID) -> list[int]:
        """Creates an outbox entry that projects the profile; returns its id.

        It is created with a lease: the caller enqueues it after the commit.
        """

    def find_active_session(self, digest: bytes, now: datetime) -> UUID | None:
        """Returns the id of the session's person; None if there is no such session, or it has
        expired.
        """

    def record_attempt(self, person_id: UUID, channel: Channel) -> tuple[Confirmation, bool] | None:
        """Records an attempt at the person's newest confirmation on that channel.

        Returns it, and whether the attempt was allowed; None if there is no confirmation.
        """

    def find_confirmation(self, confirmation_id: int) -> Confirmation | None:
        """Returns the confirmation with that id, None if there is none."""

    def get_name(self, person_id: UUID) -> str | None:
        """Returns the person's name; None if there is no such person."""

    def confirm(self, context: DerivationContext) -> Person | None:
        """Verifies the address for the person, raises the version, invalidates all competing
        claims.

        Returns the person's new state, or None if it was confirmed before (nothing is written).
        Raises `AddressAlreadyVerified` if another person has verified the address, and
        `InvalidCode` if the confirmation is invalidated or its person deleted.
        """


class AccountUnitOfWork(Protocol):
    """One transaction on a person's account."""

    def lock_person_by_token(self, claims: TokenClaims, now: datetime) -> Person:
        """Returns the token's person, locked until the end of the transaction. Raises
        `InvalidToken`.
        """

    def lock_person(self, person_id: UUID) -> bool:
        """Locks the person until the end of the transaction; returns whether there is such a
        person.
        """

    def bump_version(self, person_id: UUID) -> CommandResult[Person]:
        """Raises the version, and creates an outbox entry that projects the profile."""

    def update_person(self, person: Person) -> None:
        """Updates names, addresses and hobbies to those of `person`; ignores its other fields."""

    def supersede_confirmations(self, person_id: UUID, channel: Channel) -> None:
        """Supersedes the pending confirmations of a channel."""

    def create_confirmation(
        self,
        person_id: UUID,
        address: Address,
        salt: bytes,
        key_id: bytes,
        replaces_address: str = "",
    ) -> list[int]:
        """Creates a confirmation with a new code, which supersedes the one before.

        `replaces_address` is the verified address that the new one is to replace; it receives a
        notice. Returns the ids of the messages' outbox entries. Raises `RateLimited` at the daily
        limit.
        """

    def get_pending_address(self, person_id: UUID, channel: Channel) -> tuple[Address, str] | None:
        """Returns the unconfirmed address, and the one that it replaces; None if there is none."""

    def resend_cooldown(self, person_id: UUID, channel: Channel) -> int:
        """Returns the seconds until another message may be requested; 0: now."""

    def revoke_sessions(self, person_id: UUID, digest: bytes | None = None) -> None:
        """Revokes the session with that digest, or all sessions of the person."""

    def erase(
        self, person_id: UUID, only_if_unverified: bool = False
    ) -> CommandResult[Tombstone] | None:
        """Deletes everything about a person but id, version and time; None if there is no such
        person, or if `only_if_unverified` and an address is verified.
        """


class SignInUnitOfWork(Protocol):
    """One transaction of a sign-in."""

    def create_sign_in_challenge(
        self, address: Address, address_hashes: list[bytes], salt: bytes, key_id: bytes
    ) -> list[int]:
        """Creates a sign-in challenge for an address, which supersedes the one before.

        `address_hashes` are those of the address, the signing key's first. Returns the ids of
        outbox entries: none above the rate limit. Does the same for addresses that nobody has
        verified.
        """

    def record_sign_in_attempt(
        self, address: Address, address_hashes: list[bytes]
    ) -> SignInAttempt:
        """Records an attempt at the newest challenge for that address."""

    def consume_sign_in_code(self, challenge_id: int, address: Address) -> Person:
        """Uses up a code, and revokes the sessions created before its address was verified.

        Returns the person, locked until the end of the transaction. Raises `InvalidCode`.
        """

    def create_session(self, person_id: UUID, session: ActiveSession) -> CommandResult[Person]:
        """Creates a session and raises the version; revokes the oldest above the limit."""


class IdempotentSignUpUnitOfWork(UnitOfWork, Protocol):
    """One transaction that signs a person up, and may be repeated by its idempotency key."""

    def find_sign_up_by_idempotency_key(
        self, key_hashes: list[bytes], request_fingerprints: list[bytes]
    ) -> Person | None:
        """Returns the person who signed up with this key and body; None if there is none (yet).

        Raises `IdempotencyInProgress`, `IdempotencyMismatch`, `IdempotencyClosed`.
        """

    def store_idempotency_key(
        self, key_hash: bytes, request_fingerprint: bytes, person_id: UUID
    ) -> None:
        """Stores the key and the fingerprint of the body of a sign-up."""

    def revoke_sessions(self, person_id: UUID, digest: bytes | None = None) -> None:
        """As `AccountUnitOfWork.revoke_sessions`."""

    def create_session(self, person_id: UUID, session: ActiveSession) -> CommandResult[Person]:
        """As `SignInUnitOfWork.create_session`."""


type SignUpUnitOfWorkFactory = Callable[[], AbstractContextManager[SignUpUnitOfWork]]
type UnitOfWorkFactory = Callable[[], AbstractContextManager[UnitOfWork]]
type AccountUnitOfWorkFactory = Callable[[], AbstractContextManager[AccountUnitOfWork]]
type SignInUnitOfWorkFactory = Callable[[], AbstractContextManager[SignInUnitOfWork]]
type IdempotentSignUpUnitOfWorkFactory = Callable[
    [], AbstractContextManager[IdempotentSignUpUnitOfWork]
]
