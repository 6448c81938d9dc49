"""Queries for sessions by their tokens."""

from datetime import datetime
from hashlib import sha256
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from domain.commands.ports import StoredSession
from domain.model.person import SessionClient
from domain.postgres import models


def filter_by_token(
    person_id: UUID, digest: bytes, now: datetime | Now
) -> QuerySet[models.Session]:
    """Returns the query of the session with a token, or with one that it has replaced and that is
    still accepted. The index that finds it is that of the few sessions of a person.
    """
    previous = Q(previous_digest=digest, previous_expires_at__gt=now)
    return models.Session.objects.filter(Q(digest=digest) | previous, person_id=person_id)


def public_id(first_digest: bytes) -> UUID:
    """Returns the id by which a person may name a session, from the digest of its first token; it
    reveals nothing of that.
    """
    return UUID(bytes=sha256(b"session id:" + first_digest).digest()[:16])


def to_stored_session(row: models.Session) -> StoredSession:
    """Returns a row as commands have it."""
    return StoredSession(
        id=public_id(bytes(row.first_digest or row.digest)),
        created_at=row.created_at,
        expires_at=row.expires_at,
        digest=bytes(row.digest),
        token_version=row.token_version,
        client=SessionClient(row.user_agent, row.network),
    )
