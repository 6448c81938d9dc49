"""What confirmations and sign-in challenges have in common: the rows of one-time codes."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import F

from domain.model import one_time_code
from domain.model.address import Channel
from domain.model.one_time_code import DerivationContext
from domain.postgres import models
from domain.postgres.person_queries import NIL_UUID


def pending_confirmations(person_id: UUID) -> Any:
    """Returns the query of a person's confirmations that are neither used nor superseded."""
    return models.Confirmation.objects.filter(
        person_id=person_id, confirmed_at=None, superseded_at=None
    )


def count_code_attempt(row: models.CodeRow) -> bool:
    """Counts an attempt at a row's code; False if none were left."""
    table: Any = type(row)._default_manager
    left = table.filter(id=row.pk, attempts__lt=one_time_code.MAX_ATTEMPTS)
    return bool(left.update(attempts=F("attempts") + 1))


def derivation_context(row: models.CodeRow) -> DerivationContext:
    """Returns the inputs from which a row's code (and link) are derived.

    A challenge without a person has the nil UUID, so timing reveals nothing.
    """
    if isinstance(row, models.SignInChallenge):
        address = bytes(row.address_hash).hex()
    else:
        address = row.address_canonical
    return DerivationContext(
        row_id=row.pk,
        person_id=row.person_id or NIL_UUID,
        channel=Channel(row.channel),
        address=address,
        salt=bytes(row.salt),
        key_id=bytes(row.key_id),
        code_length=row.code_length,
    )


def is_expired(row: models.CodeRow, lifetime: timedelta) -> bool:
    """Returns whether `lifetime` has passed since the first attempt, by Postgres' clock.

    The row must have been read with `annotate(now=Now())`.
    """
    return time_left(row, lifetime) <= timedelta(0)


def time_left(row: models.CodeRow, lifetime: timedelta) -> timedelta:
    """Returns the rest of `lifetime` since the first attempt to send the code; negative if it has
    passed. The row as in `is_expired`.
    """
    now: datetime = row.now  # type: ignore[union-attr]  # an annotation of the query
    return (row.first_attempted_at or now) + lifetime - now
