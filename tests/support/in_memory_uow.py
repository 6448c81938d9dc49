"""An in-memory unit of work."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from domain.commands import ports
from domain.model.address import Address, Channel
from domain.model.errors import InvalidCode, TooManyAttempts
from domain.model.one_time_code import MAX_ATTEMPTS, CodeSeed, DerivationContext
from domain.model.person import Person, SessionClient
from domain.model.session_token import TokenClaims


@dataclass
class Row:
    confirmation: ports.Confirmation
    attempts: int = 0


@dataclass
class InMemoryStore:
    """The stored data, and `units()` to work on them."""

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


def _new_confirmation(context: DerivationContext, name: str) -> ports.Confirmation:
    return ports.Confirmation(
        context,
        name,
        confirmed=False,
        invalidated=False,
        superseded=False,
        code_expired=False,
        link_expired=False,
    )


class InMemoryUnitOfWork:
    """Sign-ups and confirmations of `domain.commands.ports.UnitOfWork`, in memory."""

    def __init__(self, store: InMemoryStore) -> None:
        self.store = store

    def sign_up(
        self,
        person: Person,
        seeds: dict[Channel, CodeSeed],
        network_hash: bytes,
        client: SessionClient,
        locale: str | None,
    ) -> list[ports.OutboxRef]:
        self.store.people[person.id] = person
        outbox_refs = self._add_outbox_entry(person.id, None)
        for channel, seed in seeds.items():
            row_id = len(self.store.rows)
            canonical = Address(channel, getattr(person, channel)).canonical
            context = DerivationContext(row_id, person.id, channel, canonical, *seed, code_length=6)
            self.store.rows.append(Row(_new_confirmation(context, person.name)))
            outbox_refs += self._add_outbox_entry(person.id, row_id)
        return outbox_refs

    def _add_outbox_entry(self, person_id: UUID, row_id: int | None) -> list[ports.OutboxRef]:
        self.store.outbox.append((person_id, row_id))
        kind = "project_profile" if row_id is None else "confirmation"
        return [ports.OutboxRef(len(self.store.outbox) - 1, kind)]

    def find_session(self, claims: TokenClaims, now: datetime) -> ports.StoredSession | None:
        person = self.store.people[claims.person_id]
        for each in person.sessions:
            if each.digest == claims.digest and each.expires_at > now:
                client = SessionClient()
                return ports.StoredSession(
                    person.id, now, each.expires_at, each.digest, None, client
                )
        return None

    def record_confirmation_attempt(self, person_id: UUID, channel: Channel) -> ports.Confirmation:
        for row in reversed(self.store.rows):
            context = row.confirmation.context
            if (context.person_id, context.channel) == (person_id, channel):
                if row.attempts == MAX_ATTEMPTS:
                    raise TooManyAttempts
                row.attempts += 1
                return row.confirmation
        raise InvalidCode

    def find_confirmation(self, confirmation_id: int) -> ports.Confirmation | None:
        exists = confirmation_id < len(self.store.rows)
        return self.store.rows[confirmation_id].confirmation if exists else None

    def confirm(
        self, context: DerivationContext, network_hashes: list[bytes], session_digest: bytes | None
    ) -> ports.CommandResult[Person] | None:
        row = self.store.rows[context.row_id]
        if row.confirmation.invalidated:
            raise InvalidCode
        row.attempts = 0
        if row.confirmation.confirmed:
            return None
        competing = [
            other
            for other in self.store.rows
            if (other.confirmation.context.channel, other.confirmation.context.address)
            == (context.channel, context.address)
            and other is not row
        ]
        if any(other.confirmation.confirmed for other in competing):
            raise InvalidCode
        for competitor in competing:
            competitor.confirmation = replace(competitor.confirmation, invalidated=True)
        row.confirmation = replace(row.confirmation, confirmed=True)
        person = self.store.people[context.person_id]
        person = replace(person, version=person.version + 1)
        if context.channel is Channel.EMAIL:
            person = replace(person, email_verified=True)
        else:
            person = replace(person, phone_verified=True)
        self.store.people[person.id] = person
        return ports.CommandResult(person, self._add_outbox_entry(person.id, None))
