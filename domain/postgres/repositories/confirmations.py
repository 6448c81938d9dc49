"""Confirmations: attempts, codes, and verified addresses."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now

from domain.commands import ports
from domain.model import one_time_code, rate_limit
from domain.model.address import Channel
from domain.model.errors import AddressAlreadyVerified, InvalidCode
from domain.model.person import Person
from domain.model.rate_limit import RateLimit
from domain.postgres import models, rate_limits, sms_quotas
from domain.postgres.person_queries import reload_person

FAILED_ATTEMPTS_LIMIT = RateLimit(max_per_day=one_time_code.MAX_FAILURES_PER_DAY)


class ConfirmationRepository:
    """The part of a unit of work that confirms addresses."""

    def record_attempt(
        self, person_id: UUID, channel: Channel
    ) -> tuple[ports.Confirmation, bool] | None:
        newest = models.Confirmation.objects.filter(person_id=person_id, channel=channel).order_by(
            "-id"
        )
        recorded = models.Confirmation.objects.filter(
            id=newest.values("id")[:1], attempts__lt=one_time_code.MAX_ATTEMPTS
        ).update(attempts=F("attempts") + 1)
        row = newest.annotate(now=Now()).first()
        if row is None:
            return None
        if not recorded:
            return _to_confirmation(row), False
        retry_after = rate_limits.hit(
            rate_limits.failed_attempts_key(person_id.bytes, channel), FAILED_ATTEMPTS_LIMIT
        )
        return _to_confirmation(row, retry_after), not retry_after

    def find_confirmation(self, confirmation_id: int) -> ports.Confirmation | None:
        row = models.Confirmation.objects.filter(id=confirmation_id).annotate(now=Now()).first()
        return _to_confirmation(row) if row else None

    def get_name(self, person_id: UUID) -> str | None:
        return models.Person.objects.filter(id=person_id).values_list("name", flat=True).first()

    def confirm(self, context: one_time_code.DerivationContext) -> Person | None:
        # The person's row is always locked first, so that no two transactions deadlock.
        person = models.Person.objects.select_for_update().filter(id=context.person_id).first()
        rows = models.Confirmation.objects.filter(
            id=context.row_id, invalidated=False, superseded_at=None
        )
        row = rows.first()
        if person is None or row is None:
            raise InvalidCode
        if row.confirmed_at is not None:
            _reset_attempts(row)
            return None
        self._claim_address(person.id, row)
        rows.update(confirmed_at=Now())
        _reset_attempts(row)
        competing_claims = models.Confirmation.objects.filter(
            channel=context.channel, address_canonical=context.address_canonical, confirmed_at=None
        )
        competing_claims.exclude(person_id=person.id).update(invalidated=True)
        if context.channel is Channel.PHONE and row.first_attempted_at is not None:
            sms_quotas.record_conversion(row.address, row.first_attempted_at)
        person.refresh_from_db()
        return reload_person(person)

    def _claim_address(self, person_id: UUID, row: models.Confirmation) -> None:
        fields = {row.channel: row.address, f"{row.channel}_verified_at": Now()}
        if row.channel == Channel.EMAIL:
            fields["email_canonical"] = row.address_canonical
        try:
            with transaction.atomic():
                models.Person.objects.filter(id=person_id).update(
                    **fields, version=F("version") + 1
                )
        except IntegrityError:
            raise AddressAlreadyVerified from None


def _reset_attempts(row: models.Confirmation) -> None:
    """Resets the counts after a success, also a repeated one. Locks in the order of recording."""
    models.Confirmation.objects.filter(id=row.pk).update(attempts=0)
    rate_limits.reset(rate_limits.failed_attempts_key(row.person_id.bytes, Channel(row.channel)))


def _to_confirmation(
    row: models.Confirmation, retry_after: timedelta = rate_limit.ZERO
) -> ports.Confirmation:
    context = derivation_context(row)
    code_lifetime = one_time_code.CODE_LIFETIME[context.channel]
    return ports.Confirmation(
        context=context,
        confirmed=row.confirmed_at is not None,
        invalidated=row.invalidated,
        superseded=row.superseded_at is not None,
        code_expired=is_expired(row, code_lifetime),
        link_expired=is_expired(row, one_time_code.LINK_LIFETIME),
        retry_after=rate_limit.ceil_seconds(retry_after or _time_left(row, code_lifetime)),
    )


def derivation_context(row: models.Confirmation) -> one_time_code.DerivationContext:
    """Returns the inputs from which the code and link of a confirmation are derived."""
    return one_time_code.DerivationContext(
        row_id=row.pk,
        person_id=row.person_id,
        channel=Channel(row.channel),
        address_canonical=row.address_canonical,
        salt=bytes(row.salt),
        key_id=bytes(row.key_id),
    )


def is_expired(row: models.Confirmation | models.SignInChallenge, lifetime: timedelta) -> bool:
    """Returns whether `lifetime` has passed since the first attempt, by Postgres' clock.

    The row must have been read with `annotate(now=Now())`.
    """
    return _time_left(row, lifetime) <= timedelta(0)


def _time_left(row: models.Confirmation | models.SignInChallenge, lifetime: timedelta) -> timedelta:
    now: datetime = row.now  # type: ignore[union-attr]  # an annotation of the query
    return (row.first_attempted_at or now) + lifetime - now
