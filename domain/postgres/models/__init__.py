"""The tables, and the rules of the domain that Postgres can enforce."""

from domain.postgres.models.backend_keys import BackendKey as BackendKey
from domain.postgres.models.codes import CodeRow as CodeRow
from domain.postgres.models.codes import Confirmation as Confirmation
from domain.postgres.models.codes import SignInChallenge as SignInChallenge
from domain.postgres.models.events import Event as Event
from domain.postgres.models.outbox import OutboxEntry as OutboxEntry
from domain.postgres.models.people import Person as Person
from domain.postgres.models.people import Tombstone as Tombstone
from domain.postgres.models.quotas import RateLimitWindow as RateLimitWindow
from domain.postgres.models.quotas import SmsPrefixStats as SmsPrefixStats
from domain.postgres.models.sessions import IdempotencyKey as IdempotencyKey
from domain.postgres.models.sessions import KnownNetwork as KnownNetwork
from domain.postgres.models.sessions import Session as Session
