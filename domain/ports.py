"""What the commands need from the outside: one Protocol, a unit of work.

`domain.stores.unit_of_work` is the real one (Postgres), `tests.fakes` has one in memory, and one
contract test runs against both.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.address import Address, Channel
from domain.code import Seed
from domain.person import Person


@dataclass(frozen=True, slots=True)
class Confirmation:
    """An address that waits to be confirmed, or was. `void`: no code will ever confirm it."""

    seed: Seed
    confirmed: bool
    void: bool
    code_expired: bool
    link_expired: bool
    retry_after: int  # seconds until the code is out of date


class Unit(Protocol):
    """One transaction. Its effects are visible to others after it was left without an error."""

    def sign_up(
        self, person: Person, addresses: list[Address], salts: list[bytes], key: bytes
    ) -> list[int]:
        """Keep a new person with their sessions, and open a confirmation of each address.

        `salts` go with the addresses, `key` is the id of the key that codes are derived with.
        Returns the ids of the outbox rows, as `follow_up` does: one for the profile, one for
        each confirmation's message.
        """

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

    def confirm(self, seed: Seed) -> Person | None:
        """Mark the address confirmed, raise the version, void everybody else's claim to it.

        Returns the person's new state, or None if it was confirmed before (nothing is written).
        Raises `AddressTaken` if somebody else has confirmed that address already, and
        `CodeInvalid` if the confirmation is void or its person is gone.
        """


Units = Callable[[], AbstractContextManager[Unit]]
