"""The tables, and the rules of the domain that Postgres can enforce."""

from domain.postgres.models.backend_keys import BackendKey
from domain.postgres.models.codes import CodeRow, Confirmation, SignInChallenge
from domain.postgres.models.events import Event
from domain.postgres.models.outbox import OutboxEntry
from domain.postgres.models.people import Person, Tombstone
from domain.postgres.models.quotas import RateLimitWindow, SmsPrefixStats
from domain.postgres.models.sessions import IdempotencyKey, KnownNetwork, Session

__all__ = [
    "BackendKey",
    "CodeRow",
    "Confirmation",
    "Event",
    "IdempotencyKey",
    "KnownNetwork",
    "OutboxEntry",
    "Person",
    "RateLimitWindow",
    "Session",
    "SignInChallenge",
    "SmsPrefixStats",
    "Tombstone",
]
