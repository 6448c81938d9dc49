"""A unit of work in memory, small enough to be seen through."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from domain import ports
from domain.address import Address, Channel
from domain.code import TRIES, Seed
from domain.errors import AddressTaken, CodeInvalid
from domain.person import Person


@dataclass
class Row:
    confirmation: ports.Confirmation
    tries: int = 0


@dataclass
class InMemoryStore:
    """Everything that is kept, and `units()` to work on it."""

    people: dict[UUID, Person] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    outbox: list[tuple[UUID, int | None]] = field(default_factory=list)

    @contextmanager
    def units(self) -> Iterator["InMemoryUnitOfWork"]:
        snapshot = deepcopy((self.people, self.rows, self.outbox))
        try:
            yield InMemoryUnitOfWork(self)
        except BaseException:
            self.people, self.rows, self.outbox = snapshot
            raise


def _new_confirmation(seed: Seed) -> ports.Confirmation:
    return ports.Confirmation(
        seed,
        confirmed=False,
        void=False,
        ended=False,
        code_expired=False,
        link_expired=False,
        retry_after=600,
    )


class InMemoryUnitOfWork:
    """`domain.ports.Unit` in memory."""

    def __init__(self, store: InMemoryStore) -> None:
        self.store = store

    def sign_up(
        self, person: Person, addresses: list[Address], salts: list[bytes], key: bytes
    ) -> list[int]:
        self.store.people[person.id] = person
        outbox_ids = self.follow_up(person.id)
        for address, salt in zip(addresses, salts, strict=True):
            row_id = len(self.store.rows)
            seed = Seed(row_id, person.id, address.channel, address.key, salt, key)
            self.store.rows.append(Row(_new_confirmation(seed)))
            outbox_ids += self._add_outbox_entry(person.id, row_id)
        return outbox_ids

    def follow_up(self, person_id: UUID) -> list[int]:
        return self._add_outbox_entry(person_id, None)

    def _add_outbox_entry(self, person_id: UUID, row_id: int | None) -> list[int]:
        self.store.outbox.append((person_id, row_id))
        return [len(self.store.outbox) - 1]

    def live_session(self, digest: bytes, now: datetime) -> UUID | None:
        for person in self.store.people.values():
            if any(
                session.digest == digest and session.expires_at > now for session in person.sessions
            ):
                return person.id
        return None

    def count_try(
        self, person_id: UUID, channel: Channel
    ) -> tuple[ports.Confirmation, bool] | None:
        for row in reversed(self.store.rows):
            seed = row.confirmation.seed
            if (seed.person_id, seed.channel) == (person_id, channel):
                allowed = row.tries < TRIES
                row.tries += allowed
                return row.confirmation, allowed
        return None

    def confirmation(self, row_id: int) -> ports.Confirmation | None:
        exists = row_id < len(self.store.rows)
        return self.store.rows[row_id].confirmation if exists else None

    def name_of(self, person_id: UUID) -> str | None:
        person = self.store.people.get(person_id)
        return person.name if person else None

    def confirm(self, seed: Seed) -> Person | None:
        row = self.store.rows[seed.row_id]
        if row.confirmation.void:
            raise CodeInvalid
        row.tries = 0
        if row.confirmation.confirmed:
            return None
        competing = [
            other
            for other in self.store.rows
            if (other.confirmation.seed.channel, other.confirmation.seed.address_key)
            == (seed.channel, seed.address_key)
            and other is not row
        ]
        if any(other.confirmation.confirmed for other in competing):
            raise AddressTaken
        for competitor in competing:
            competitor.confirmation = replace(competitor.confirmation, void=True)
        row.confirmation = replace(row.confirmation, confirmed=True)
        person = self.store.people[seed.person_id]
        person = replace(person, version=person.version + 1)
        if seed.channel is Channel.EMAIL:
            person = replace(person, email_verified=True)
        else:
            person = replace(person, phone_verified=True)
        self.store.people[person.id] = person
        return person
