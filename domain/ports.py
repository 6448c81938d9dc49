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
from domain.code import Seed
from domain.person import Gone, LiveSession, Person
from domain.session import Token


@dataclass(frozen=True, slots=True)
class Committed[State: Person | Gone]:
    """What a command has committed, and what must follow: `person` is the newest state."""

    person: State
    outbox_ids: list[int]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """An address that waits to be confirmed, or was.

    No code will ever confirm it if it is `void` (somebody else's address by now) or `ended` (a
    newer one took its place).
    """

    seed: Seed
    confirmed: bool
    void: bool
    ended: bool
    code_expired: bool
    link_expired: bool
    retry_after: int  # seconds until another try may be allowed, once they are used up


@dataclass(frozen=True, slots=True)
class SignInTry:
    """A counted try to sign in. `seed` is None if no code that was sent can be the right one."""

    allowed: bool
    retry_after: int
    row_id: int
    seed: Seed | None


class SignUpUnit(Protocol):
    """One transaction that signs somebody up, and does nothing else."""

    def sign_up(
        self, person: Person, addresses: list[Address], salts: list[bytes], key: bytes
    ) -> list[int]:
        """Keep a new person with their one session, and open a confirmation of each address.

        `addresses` are the e-mail address and the phone number, `salts` go with them, `key` is the
        id of the key that codes are derived with.
        Returns the ids of the outbox rows, as `follow_up` does: one for the profile, one for
        each confirmation's message.
        """


class Unit(SignUpUnit, Protocol):
    """One transaction. Its effects are visible to others after it was left without an error."""

    def follow_up(self, person_id: UUID) -> list[int]:
        """Write an outbox row for the profile; returns its id.

        It stands leased: handing it out is up to the caller, after the commit.
        """

    def live_session(self, digest: bytes, now: datetime) -> UUID | None:
        """Whose session this is; None if it is not (or no longer) one."""

    def count_try(self, person_id: UUID, channel: Channel) -> tuple[Confirmation, bool] | None:
        """Count a try at the person's newest confirmation on that channel.

        Returns it, and whether the try was still allowed; None if there is no confirmation.
        """

    def confirmation(self, row_id: int) -> Confirmation | None:
        """The confirmation with that row id, None if there is none."""

    def name_of(self, person_id: UUID) -> str | None:
        """The name with which somebody signed up; None if there is no such person."""

    def confirm(self, seed: Seed) -> Person | None:
        """Make the address the person's, confirmed; raise the version; void all others' claims.

        Returns the person's new state, or None if it was confirmed before (nothing is written).
        Raises `AddressTaken` if somebody else has confirmed that address already, and
        `CodeInvalid` if the confirmation is void or its person is gone.
        """


class AccountUnit(Protocol):
    """One transaction on somebody's account."""

    def caller(self, token: Token, now: datetime) -> Person:
        """Whose token this is, locked until the end. Raises `InvalidToken`."""

    def exists(self, person_id: UUID) -> bool:
        """Whether there is such a person, who is then locked until the end."""

    def changed(self, person_id: UUID) -> Committed[Person]:
        """Raise the version, and write an outbox row for the profile."""

    def save(self, person: Person) -> None:
        """Write a person's names, addresses and hobbies. Nothing else of it is looked at."""

    def end_confirmations(self, person_id: UUID, channel: Channel) -> None:
        """Void the open codes and links of a channel."""

    def open_confirmation(
        self, person_id: UUID, address: Address, salt: bytes, key: bytes, replaces: str = ""
    ) -> list[int]:
        """Have an address confirmed by a new code, which ends the one before.

        `replaces` is the confirmed address that it is to take the place of, and that is told.
        Returns the ids of the messages' outbox rows. Raises `RateLimited` after too many a day.
        """

    def waiting_address(self, person_id: UUID, channel: Channel) -> tuple[Address, str] | None:
        """The address that waits to be confirmed, and what it replaces; None if none does."""

    def resend_wait(self, person_id: UUID, channel: Channel) -> int:
        """Seconds until the next message may be asked for; 0 if it may be now."""

    def end_sessions(self, person_id: UUID, digest: bytes | None = None) -> None:
        """End the session with that digest, or all of the person's."""

    def forget(self, person_id: UUID, unless_confirmed: bool = False) -> Committed[Gone] | None:
        """Delete all that is known of a person, but id, version and time; None if unknown, or if
        they are to be spared because they have confirmed an address.
        """


class SignInUnit(Protocol):
    """One transaction on the way into an account."""

    def open_sign_in(
        self, address: Address, hashes: list[bytes], salt: bytes, key: bytes
    ) -> list[int]:
        """Have a code sent to a confirmed address, in place of the one before.

        `hashes` are those of the address, the current key's first. Returns the ids of outbox
        rows: none if codes were asked for too often. Does the same for addresses nobody has.
        """

    def count_sign_in(self, address: Address, hashes: list[bytes]) -> SignInTry:
        """Count a try at the newest code for that address."""

    def sign_in(self, row_id: int, address: Address) -> Person:
        """Use a code up, and end the sessions opened before its address was confirmed.

        Returns whose it is, locked until the end. Raises `CodeInvalid`.
        """

    def open_session(self, person_id: UUID, session: LiveSession) -> Committed[Person]:
        """Keep a new session, raise the version; the oldest ends if there are too many."""


class RepeatableUnit(Unit, Protocol):
    """One transaction that signs somebody up, and may be repeated by its key."""

    def signed_up_with(self, key_hashes: list[bytes], body_hashes: list[bytes]) -> Person | None:
        """Who signed up with this key and body; None if nobody has (yet).

        Raises `IdempotencyInProgress`, `IdempotencyMismatch`, `IdempotencyClosed`.
        """

    def remember(self, key_hash: bytes, body_hash: bytes, person_id: UUID) -> None:
        """Keep with which key and body somebody has signed up."""

    def end_sessions(self, person_id: UUID, digest: bytes | None = None) -> None:
        """As `AccountUnit.end_sessions`."""

    def open_session(self, person_id: UUID, session: LiveSession) -> Committed[Person]:
        """As `SignInUnit.open_session`."""


type SignUpUnits = Callable[[], AbstractContextManager[SignUpUnit]]
type Units = Callable[[], AbstractContextManager[Unit]]
type AccountUnits = Callable[[], AbstractContextManager[AccountUnit]]
type SignInUnits = Callable[[], AbstractContextManager[SignInUnit]]
type RepeatableUnits = Callable[[], AbstractContextManager[RepeatableUnit]]
