"""Accounts: authentication, updates, and erasure."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import F
from django.db.models.functions import Now

from domain.commands.ports import CommandResult
from domain.model import rate_limit
from domain.model.address import Address, Channel, canonicalize
from domain.model.errors import InvalidToken, RateLimited
from domain.model.person import Person, Tombstone
from domain.model.rate_limit import RateLimit
from domain.model.session_token import TokenClaims
from domain.postgres import cooldowns, models, rate_limits
from domain.postgres.person_queries import reload_person


class AccountRepository:
    """The part of a unit of work that changes accounts."""

    def add_projection_entry(self, person_id: UUID) -> list[int]:
        return [add_outbox_entry(models.OutboxEntry.Kind.PROJECT_PROFILE, person_id)]

    def find_active_session(self, digest: bytes, now: datetime) -> UUID | None:
        row = models.Session.objects.filter(digest=digest, expires_at__gt=now)
        return row.values_list("person_id", flat=True).first()

    def lock_person_by_token(self, claims: TokenClaims, now: datetime) -> Person:
        # The person is locked first: sessions are revoked under the same lock.
        row = models.Person.objects.select_for_update().filter(id=claims.person_id).first()
        if row is None or self.find_active_session(claims.digest, now) != claims.person_id:
            raise InvalidToken
        return reload_person(row)

    def lock_person(self, person_id: UUID) -> bool:
        return models.Person.objects.select_for_update().filter(id=person_id).exists()

    def bump_version(self, person_id: UUID) -> CommandResult[Person]:
        models.Person.objects.filter(id=person_id).update(version=F("version") + 1)
        outbox_ids = self.add_projection_entry(person_id)
        return CommandResult(reload_person(models.Person.objects.get(id=person_id)), outbox_ids)

    def update_person(self, person: Person) -> None:
        models.Person.objects.filter(id=person.id).update(
            name=person.name,
            surname=person.surname,
            email=person.email,
            email_canonical=canonicalize(Channel.EMAIL, person.email),
            phone=person.phone,
            hobbies=list(person.hobbies),
        )

    def supersede_confirmations(self, person_id: UUID, channel: Channel) -> None:
        _pending_confirmations(person_id, channel).update(superseded_at=Now())

    def create_confirmation(
        self,
        person_id: UUID,
        address: Address,
        salt: bytes,
        key_id: bytes,
        replaces_address: str = "",
    ) -> list[int]:
        # Changing addresses repeatedly sends no more messages than the daily limit.
        limit = RateLimit(settings.MESSAGES_PER_DAY)
        if cooldown := _whole_seconds(
            cooldowns.confirmation_cooldown(person_id, address.channel, limit)
        ):
            raise RateLimited(cooldown)
        self.supersede_confirmations(person_id, address.channel)
        row = models.Confirmation.objects.create(
            person_id=person_id,
            channel=address.channel,
            address=address.value,
            address_canonical=address.canonical,
            salt=salt,
            key_id=key_id,
            replaces_address=replaces_address,
        )
        kinds = [models.OutboxEntry.Kind.CONFIRMATION]
        if replaces_address:
            kinds.append(models.OutboxEntry.Kind.ADDRESS_CHANGE_NOTICE)
        return [add_outbox_entry(kind, person_id, confirmation=row) for kind in kinds]

    def get_pending_address(self, person_id: UUID, channel: Channel) -> tuple[Address, str] | None:
        row = _pending_confirmations(person_id, channel).first()
        if row is not None:
            return Address(channel, row.address, row.address_canonical), row.replaces_address
        person = models.Person.objects.get(id=person_id)
        if getattr(person, f"{channel}_verified_at") is not None:
            return None
        value: str = getattr(person, channel)
        return Address(channel, value, canonicalize(channel, value)), ""

    def resend_cooldown(self, person_id: UUID, channel: Channel) -> int:
        return _whole_seconds(cooldowns.resend_cooldown(person_id, channel))

    def revoke_sessions(self, person_id: UUID, digest: bytes | None = None) -> None:
        rows = models.Session.objects.filter(person_id=person_id)
        (rows if digest is None else rows.filter(digest=digest)).delete()

    def erase(
        self, person_id: UUID, only_if_unverified: bool = False
    ) -> CommandResult[Tombstone] | None:
        row = models.Person.objects.select_for_update().filter(id=person_id).first()
        if row is None or (only_if_unverified and (row.email_verified_at or row.phone_verified_at)):
            return None
        for table in (models.OutboxEntry, models.SignInChallenge):
            table.objects.filter(person_id=person_id).delete()
        tombstone = models.Tombstone.objects.create(id=person_id, version=row.version + 1)
        tombstone.refresh_from_db()
        row.delete()
        for channel in Channel:
            rate_limits.reset(rate_limits.failed_attempts_key(person_id.bytes, channel))
        outbox_ids = self.add_projection_entry(person_id)
        return CommandResult(
            Tombstone(tombstone.id, tombstone.version, tombstone.deleted_at), outbox_ids
        )


def _pending_confirmations(person_id: UUID, channel: Channel) -> Any:
    return models.Confirmation.objects.filter(
        person_id=person_id, channel=channel, confirmed_at=None, superseded_at=None
    )


def _whole_seconds(cooldown: tuple[timedelta, datetime]) -> int:
    """Returns the whole seconds of a cooldown, 0 if it has passed."""
    remaining, _ = cooldown
    return rate_limit.ceil_seconds(remaining) if remaining else 0


def add_outbox_entry(
    kind: models.OutboxEntry.Kind, person_id: UUID | None, **references: Any
) -> int:
    row = models.OutboxEntry.objects.create(
        kind=kind, person_id=person_id, due_at=Now() + settings.OUTBOX_LEASE, **references
    )
    return int(row.pk)
