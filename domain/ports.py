"""What the commands need from the outside: units of work, one Protocol for each kind of work.

`domain.stores.unit_of_work` has the real one (Postgres), which is all of them. `tests.fakes` has
one in memory for sign-up and confirmations, and one contract test runs against both.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.address import Address, Channel
from domain.code import DerivationContext
from domain.person import ActiveSession, Person, Tombstone
from domain.session import TokenClaims


@dataclass(frozen=True, slots=True)
class CommandResult[State: Person | Tombstone]:
    """What a command has committed, and what must follow: `person` is the newest state."""

    person: State
    outbox_ids: list[int]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """An address that waits to be confirmed, or was.

    No code will ever confirm it if it is `void` (somebody else's address by now) or `ended` (a
    newer one took its place).
    """

    context: DerivationContext
    confirmed: bool
    invalidated: bool
    superseded: bool
    code_expired: bool
    link_expired: bool
    retry_after: int  # seconds until another try may be allowed, once they are used up


@dataclass(frozen=True, slots=True)
class SignInAttempt:
    """A counted try to sign in. `seed` is None if no code that was sent can be the right one."""

    allowed: bool
    retry_after: int
    challenge_id: int
    context: DerivationContext | None


class SignUpUnitOfWork(Protocol):
    """One transaction that signs somebody up, and does nothing else."""

    def sign_up(
        self, person: Person, addresses: list[Address], salts: list[bytes], key_id: bytes
    ) -> list[int]:
        """Keep a new person with their one session, and open a confirmation of each address.

        `addresses` are the e-mail address and the phone number, `salts` go with them, `key` is the
        id of the key that codes are derived with.
        Returns the ids of the outbox rows, as `follow_up` does: one for the profile, one for
        each confirmation's message.
        """


class UnitOfWork(SignUpUnitOfWork, Protocol):
    """One transaction. Its effects are visible to others after it was left without an error."""

    def add_projection_entry(self, person_id: UUID) -> list[int]:
        """Write an outbox row for the profile; returns its id.

        It stands leased: handing it out is up to the caller, after the commit.
        """

    def find_active_session(self, digest: bytes, now: datetime) -> UUID | None:
        """Whose session this is; None if it is not (or no longer) one."""

    def record_attempt(self, person_id: UUID, channel: Channel) -> tuple[Confirmation, bool] | None:
        """Count a try at the person's newest confirmation on that channel.

        Returns it, and whether the try was still allowed; None if there is no confirmation.
        """

    def find_confirmation(self, confirmation_id: int) -> Confirmation | None:
        """The confirmation with that row id, None if there is none."""

    def get_name(self, person_id: UUID) -> str | None:
        """The name with which somebody signed up; None if there is no such person."""

    def confirm(self, context: DerivationContext) -> Person | None:
        """Make the address the person's, confirmed; raise the version; void all others' claims.

        Returns the person's new state, or None if it was confirmed before (nothing is written).
        Raises `AddressTaken` if somebody else has confirmed that address already, and
        `CodeInvalid` if the confirmation is void or its person is gone.
        """


class AccountUnitOfWork(Protocol):
    """One transaction on somebody's account."""

    def lock_person_by_token(self, claims: TokenClaims, now: datetime) -> Person:
        """Whose token this is, locked until the end. Raises `InvalidToken`."""

    def lock_person(self, person_id: UUID) -> bool:
        """Whether there is such a person, who is then locked until the end."""

    def bump_version(self, person_id: UUID) -> CommandResult[Person]:
        """Raise the version, and write an outbox row for the profile."""

    def update_person(self, person: Person) -> None:
        """Write a person's names, addresses and hobbies. Nothing else of it is looked at."""

    def supersede_confirmations(self, person_id: UUID, channel: Channel) -> None:
        """Void the open codes and links of a channel."""

    def create_confirmation(
        self,
        person_id: UUID,
        address: Address,
        salt: bytes,
        key_id: bytes,
        replaces_address: str = "",
    ) -> list[int]:
        """Have an address confirmed by a new code, which ends the one before.

        `replaces` is the confirmed address that it is to take the place of, and that is told.
        Returns the ids of the messages' outbox rows. Raises `RateLimited` after too many a day.
        """

    def get_pending_address(self, person_id: UUID, channel: Channel) -> tuple[Address, str] | None:
        """The address that waits to be confirmed, and what it replaces; None if none does."""

    def resend_cooldown(self, person_id: UUID, channel: Channel) -> int:
        """Seconds until the next message may be asked for; 0 if it may be now."""

    def revoke_sessions(self, person_id: UUID, digest: bytes | None = None) -> None:
        """End the session with that digest, or all of the person's."""

    def erase(
        self, person_id: UUID, only_if_unverified: bool = False
    ) -> CommandResult[Tombstone] | None:
        """Delete all that is known of a person, but id, version and time; None if unknown, or if
        they are to be spared because they have confirmed an address.
        """


class SignInUnitOfWork(Protocol):
    """One transaction on the way into an account."""

    def create_sign_in_challenge(
        self, address: Address, address_hashes: list[bytes], salt: bytes, key_id: bytes
    ) -> list[int]:
        """Have a code sent to a confirmed address, in place of the one before.

        `hashes` are those of the address, the current key's first. Returns the ids of outbox
        rows: none if codes were asked for too often. Does the same for addresses nobody has.
        """

    def record_sign_in_attempt(
        self, address: Address, address_hashes: list[bytes]
    ) -> SignInAttempt:
        """Count a try at the newest code for that address."""

    def consume_sign_in_code(self, challenge_id: int, address: Address) -> Person:
        """Use a code up, and end the sessions opened before its address was confirmed.

        Returns whose it is, locked until the end. Raises `CodeInvalid`.
        """

    def create_session(self, person_id: UUID, session: ActiveSession) -> CommandResult[Person]:
        """Keep a new session, raise the version; the oldest ends if there are too many."""


class IdempotentSignUpUnitOfWork(UnitOfWork, Protocol):
    """One transaction that signs somebody up, and may be repeated by its key."""

    def find_sign_up_by_idempotency_key(
        self, key_hashes: list[bytes], request_fingerprints: list[bytes]
    ) -> Person | None:
        """Who signed up with this key and body; None if nobody has (yet).

        Raises `IdempotencyInProgress`, `IdempotencyMismatch`, `IdempotencyClosed`.
        """

    def store_idempotency_key(
        self, key_hash: bytes, request_fingerprint: bytes, person_id: UUID
    ) -> None:
        """Keep with which key and body somebody has signed up."""

    def revoke_sessions(self, person_id: UUID, digest: bytes | None = None) -> None:
        """As `AccountUnit.end_sessions`."""

    def create_session(self, person_id: UUID, session: ActiveSession) -> CommandResult[Person]:
        """As `SignInUnit.open_session`."""


type SignUpUnitOfWorkFactory = Callable[[], AbstractContextManager[SignUpUnitOfWork]]
type UnitOfWorkFactory = Callable[[], AbstractContextManager[UnitOfWork]]
type AccountUnitOfWorkFactory = Callable[[], AbstractContextManager[AccountUnitOfWork]]
type SignInUnitOfWorkFactory = Callable[[], AbstractContextManager[SignInUnitOfWork]]
type IdempotentSignUpUnitOfWorkFactory = Callable[
    [], AbstractContextManager[IdempotentSignUpUnitOfWork]
]
