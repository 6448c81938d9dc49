"""The port of the commands: a unit of work, which is one transaction.

`domain.postgres.unit_of_work` implements it on Postgres, `tests.support.in_memory_uow` the part of
sign-ups and confirmations in memory; one contract test runs against both.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol
from uuid import UUID

from domain.model.address import Address, Channel
from domain.model.one_time_code import CodeSeed, DerivationContext
from domain.model.person import ActiveSession, Person, SessionClient, Tombstone
from domain.model.session_token import TokenClaims


class OutboxRef(NamedTuple):
    """What is enqueued of an outbox entry: its id, and its kind, which names the task."""

    id: int
    kind: str


@dataclass(frozen=True, slots=True)
class CommandResult[State: Person | Tombstone]:
    """The committed state of a person, and the outbox entries to enqueue."""

    person: State
    outbox_refs: list[OutboxRef]


@dataclass(frozen=True, slots=True, repr=False)
class Confirmation:
    """An address that the person with that name is to confirm, or has confirmed.

    No code confirms it if it is `invalidated` (another person has verified the address, as of now)
    or `superseded` (by a newer confirmation).
    """

    context: DerivationContext
    name: str
    confirmed: bool
    invalidated: bool
    superseded: bool
    code_expired: bool
    link_expired: bool


@dataclass(frozen=True, slots=True)
class SignInChallenge:
    """A sign-in challenge. `is_usable`: not used, not expired, and its code has been sent."""

    context: DerivationContext
    is_usable: bool


@dataclass(frozen=True, slots=True)
class StoredSession:
    """An active session. `id` is the one that its person sees, and stays the same when the token is
    refreshed; `token_version` is the version in a refreshed token, else None. `client` is that of
    the sign-in or the last refresh.
    """

    id: UUID
    created_at: datetime
    expires_at: datetime
    digest: bytes = field(repr=False)
    token_version: int | None
    client: SessionClient


class UnitOfWork(Protocol):
    """One transaction: committed when it is left without an error.

    The outbox entries that are returned are leased: the caller enqueues them after the commit.
    """

    def sign_up(
        self,
        person: Person,
        seeds: dict[Channel, CodeSeed],
        network_hash: bytes,
        client: SessionClient,
        locale: str | None,
    ) -> list[OutboxRef]:
        """Creates a person with their one session, and a confirmation of each address. `locale` is
        the language of their messages, None for the default.

        Returns the outbox entries: one for the profile, one for each message.
        """

    def find_sign_up_by_idempotency_key(
        self, idempotency_key: str, key_hashes: list[bytes], request_fingerprints: list[bytes]
    ) -> Person | None:
        """Returns the person who signed up with this key and body; None if there is none (yet).

        The key is locked until the end of the transaction. Raises `IdempotencyInProgress`,
        `IdempotencyMismatch`, `IdempotencyClosed`.
        """

    def store_idempotency_key(
        self, key_hash: bytes, request_fingerprint: bytes, person_id: UUID
    ) -> None:
        """Stores the key and the fingerprint of the body of a sign-up."""

    def find_session(self, claims: TokenClaims, now: datetime) -> StoredSession | None:
        """Returns the active session of a token, or of the one before it while that is accepted;
        None if there is none.
        """

    def lock_person_by_token(self, claims: TokenClaims, now: datetime) -> Person:
        """Returns the token's person, locked until the end of the transaction. Raises
        `InvalidToken`.
        """

    def lock_person(self, person_id: UUID) -> bool:
        """Locks the person until the end of the transaction; False if there is no such person."""

    def bump_version(self, person_id: UUID) -> CommandResult[Person]:
        """Raises the version, and creates an outbox entry that projects the profile."""

    def update_person(self, person: Person) -> None:
        """Updates names, addresses and hobbies to those of `person`; ignores its other fields."""

    def set_locale(self, person_id: UUID, locale: str) -> None:
        """Sets the language of the person's messages."""

    def erase(self, person_id: UUID) -> CommandResult[Tombstone] | None:
        """Deletes everything about a person but id, version and time; None if there is no such
        person.
        """

    def record_confirmation_attempt(self, person_id: UUID, channel: Channel) -> Confirmation:
        """Records an attempt at the person's newest confirmation on that channel, and a failure for
        its address, until `confirm` takes it back; returns the confirmation.

        Raises `InvalidCode` if there is none, and `TooManyAttempts`.
        """

    def find_confirmation(self, confirmation_id: int) -> Confirmation | None:
        """Returns the confirmation with that id, None if there is none."""

    def confirm(
        self, context: DerivationContext, network_hashes: list[bytes], session_digest: bytes | None
    ) -> CommandResult[Person] | None:
        """Verifies the address for the person, by a code that was entered in the session with that
        digest or by a link (None), from a network that is known from then on.

        Returns None if it was confirmed before (nothing is written). Raises `InvalidCode` if
        another person has verified the address, if it is superseded, or its person deleted, and
        `InvalidToken` if the session has been revoked.
        """

    def create_confirmation(
        self,
        person_id: UUID,
        address: Address,
        seed: CodeSeed,
        replaces_address: str = "",
        network_hash: bytes | None = None,
    ) -> list[OutboxRef]:
        """Creates a confirmation with a new code, which supersedes the one before.

        `replaces_address` is the verified address that the new one is to replace; it and the other
        channel receive a notice. `network_hash` is that of who asked for it, None for staff.
        Returns the messages' outbox entries. Raises `RateLimited` at the daily limit.
        """

    def supersede_confirmations(self, person_id: UUID, channel: Channel) -> None:
        """Supersedes the pending confirmations of a channel."""

    def get_pending_address(self, person_id: UUID, channel: Channel) -> tuple[Address, str] | None:
        """Returns the unconfirmed address, and the one that it replaces; None if there is none."""

    def resend_cooldown(self, person_id: UUID, channel: Channel) -> int:
        """Returns the seconds until another message may be requested; 0: now."""

    def create_session(
        self, person_id: UUID, session: ActiveSession, client: SessionClient
    ) -> CommandResult[Person]:
        """Creates a session and raises the version; revokes the oldest above the limit."""

    def list_sessions(self, person_id: UUID, now: datetime) -> list[StoredSession]:
        """Returns the active sessions, newest first."""

    def replace_token(
        self,
        digest: bytes,
        accepted_until: datetime,
        new: ActiveSession,
        version: int,
        client: SessionClient,
    ) -> None:
        """Replaces the token with that digest, which is accepted until then, by a new one that has
        that version in it. The token before it is accepted no longer.
        """

    def revoke_sessions(self, person_id: UUID, digest: bytes | None = None) -> None:
        """Revokes the session with that digest, of its token or of the one before, or all sessions
        of the person.
        """

    def create_sign_in_challenge(
        self,
        address: Address,
        address_hashes: list[bytes],
        network_hashes: list[bytes],
        seed: CodeSeed,
    ) -> tuple[int, timedelta, list[OutboxRef]]:
        """Creates a sign-in challenge for an address, verified or not. Earlier ones stay valid.

        The hashes are by every key, the signing key's first. Returns the id, after how long another
        message can follow this one to that network, and the outbox entries.
        """

    def record_sign_in_attempt(self, challenge_id: int, token: str) -> SignInChallenge:
        """Records an attempt at a challenge, and a failure for its address, until
        `consume_sign_in_code` takes it back; returns the challenge.

        Raises `InvalidCode` unless it has that token, and `TooManyAttempts`.
        """

    def consume_sign_in_code(self, challenge_id: int, network_hashes: list[bytes]) -> Person:
        """Uses up a code. The first one that its address was ever signed in with revokes what was
        done before that address was confirmed: sessions, the verification of the other address by
        one of them, and what followed from that, and pending changes of an address.

        Returns the person, locked until the end of the transaction. Raises `InvalidCode`.
        """


type UnitOfWorkFactory = Callable[[], AbstractContextManager[UnitOfWork]]
