"""Confirmations: creation, attempts, and verified addresses.

The methods are described in `domain.commands.ports.UnitOfWork`.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from domain.commands.ports import CommandResult, Confirmation, OutboxRef
from domain.model import one_time_code
from domain.model.address import Address, Channel
from domain.model.errors import InvalidCode, InvalidToken, RateLimited, TooManyAttempts
from domain.model.keyed_hash import hash_address
from domain.model.one_time_code import CodeSeed, DerivationContext
from domain.model.person import Person
from domain.postgres import known_networks, locks, models, outbox, sliding_windows, sms_quotas
from domain.postgres.code_rows import (
    count_code_attempt,
    derivation_context,
    is_expired,
    pending_confirmations,
    time_left,
)
from domain.postgres.events import Change
from domain.postgres.keyring import get_keyring
from domain.postgres.models import Event, OutboxEntry
from domain.postgres.person_queries import verified_owner_filter
from domain.postgres.repositories.accounts import AccountRepository
from domain.postgres.session_queries import filter_by_token
from domain.postgres.sliding_windows import WindowLimit

_CONFIRMED = {
    Channel.EMAIL: Event.Kind.EMAIL_CONFIRMED,
    Channel.PHONE: Event.Kind.PHONE_CONFIRMED,
}
_CHANGE_NOTICES = (OutboxEntry.Kind.ADDRESS_CHANGE_NOTICE, OutboxEntry.Kind.OTHER_CHANNEL_NOTICE)


class ConfirmationRepository(AccountRepository):
    """The part of a unit of work that confirms addresses."""

    def record_confirmation_attempt(self, person_id: UUID, channel: Channel) -> Confirmation:
        rows = _with_now().filter(person_id=person_id, channel=channel)
        row = rows.order_by("-id").first()
        if row is None:
            raise InvalidCode
        if not count_code_attempt(row):
            remaining = time_left(row, one_time_code.CODE_LIFETIME[channel])
            raise TooManyAttempts(sliding_windows.ceil_seconds(remaining))
        sliding_windows.record_failure(_address_hashes(row))
        return _to_confirmation(row)

    def find_confirmation(self, confirmation_id: int) -> Confirmation | None:
        row = _with_now().filter(id=confirmation_id).first()
        return _to_confirmation(row) if row else None

    def confirm(
        self, context: DerivationContext, network_hashes: list[bytes], session_digest: bytes | None
    ) -> CommandResult[Person] | None:
        # The person's row is always locked first, so that no two transactions deadlock.
        has_person = self.lock_person(context.person_id)
        row = models.Confirmation.objects.filter(id=context.row_id, superseded_at=None).first()
        if not has_person or row is None:
            raise InvalidCode
        session_created_at = None
        if session_digest is not None:
            session_created_at = _take_attempts_back(row, session_digest)
        if row.confirmed_at is not None:
            return None
        _claim_address(row)
        models.Confirmation.objects.filter(id=row.pk).update(
            confirmed_at=Now(), session_created_at=session_created_at
        )
        known_networks.remember(row.person_id, network_hashes)
        if context.channel is Channel.EMAIL:
            outbox.release(row.person_id, "email_not_confirmed")
        elif row.first_attempted_at is not None and not row.replaces_address:
            sms_quotas.record_conversion(row.address, row.first_attempted_at)
        self._changes.append(Change(_CONFIRMED[context.channel]))
        return self.bump_version(row.person_id)

    def create_confirmation(
        self,
        person_id: UUID,
        address: Address,
        seed: CodeSeed,
        replaces_address: str = "",
        network_hash: bytes | None = None,
    ) -> list[OutboxRef]:
        # Changing addresses repeatedly sends no more messages than the daily limit.
        limit = WindowLimit(settings.MESSAGES_PER_NETWORK_PER_DAY)
        cooldown, _ = sliding_windows.confirmation_cooldown(person_id, address.channel, limit)
        if cooldown:
            raise RateLimited(sliding_windows.ceil_seconds(cooldown))
        self.supersede_confirmations(person_id, address.channel)
        row = models.Confirmation.objects.create(
            person_id=person_id,
            channel=address.channel,
            address=address.value,
            address_canonical=address.canonical,
            salt=seed.salt,
            key_id=seed.key_id,
            network_hash=network_hash,
            replaces_address=replaces_address,
        )
        kinds = [OutboxEntry.Kind.CONFIRMATION, *(_CHANGE_NOTICES if replaces_address else ())]
        return [outbox.add(kind, person_id, confirmation=row) for kind in kinds]

    def supersede_confirmations(self, person_id: UUID, channel: Channel) -> None:
        pending_confirmations(person_id).filter(channel=channel).update(superseded_at=Now())

    def get_pending_address(self, person_id: UUID, channel: Channel) -> tuple[Address, str] | None:
        row = pending_confirmations(person_id).filter(channel=channel).first()
        if row is not None:
            return Address(channel, row.address), row.replaces_address
        person = models.Person.objects.get(id=person_id)
        is_verified = getattr(person, f"{channel}_verified_at") is not None
        return None if is_verified else (Address(channel, getattr(person, channel)), "")

    def resend_cooldown(self, person_id: UUID, channel: Channel) -> int:
        limit = sliding_windows.message_limit()
        cooldown, _ = sliding_windows.confirmation_cooldown(person_id, channel, limit)
        return sliding_windows.ceil_seconds(cooldown) if cooldown else 0


def _take_attempts_back(row: models.Confirmation, session_digest: bytes) -> datetime:
    """Gives the attempts at a code back, after a success or a repeated one; returns when the
    session began in which it was entered. Raises `InvalidToken` if that was revoked since the
    request was authenticated.
    """
    sessions = filter_by_token(row.person_id, session_digest, Now())
    created_at = sessions.values_list("created_at", flat=True).first()
    if created_at is None:
        raise InvalidToken
    models.Confirmation.objects.filter(id=row.pk).update(attempts=0)
    sliding_windows.take_back_failure(_address_hashes(row))
    return created_at


def _address_hashes(row: models.Confirmation) -> list[bytes]:
    return hash_address(get_keyring(), Address(Channel(row.channel), row.address))


def _with_now() -> Any:
    return models.Confirmation.objects.select_related("person").annotate(now=Now())


def _to_confirmation(row: models.Confirmation) -> Confirmation:
    context = derivation_context(row)
    address = Address(context.channel, row.address)
    owners = models.Person.objects.filter(verified_owner_filter(address))
    return Confirmation(
        context=context,
        name=row.person.name,
        confirmed=row.confirmed_at is not None,
        # Judged here and not when an owner confirms: there may be a million claims.
        invalidated=owners.exclude(id=row.person_id).exists(),
        superseded=row.superseded_at is not None,
        code_expired=is_expired(row, one_time_code.CODE_LIFETIME[context.channel]),
        link_expired=is_expired(row, one_time_code.LINK_LIFETIME),
    )


def _claim_address(row: models.Confirmation) -> None:
    fields = {row.channel: row.address, f"{row.channel}_verified_at": Now()}
    if row.channel == Channel.EMAIL:
        fields["email_canonical"] = row.address_canonical
    if row.replaces_address:
        fields[f"{row.channel}_first_sign_in_at"] = None
        # No challenge for the owner of the replaced address is created from now on: erasing the
        # person would not find it.
        locks.lock_address(Address(Channel(row.channel), row.replaces_address))
    try:
        with transaction.atomic():
            models.Person.objects.filter(id=row.person_id).update(**fields)
    except IntegrityError:
        # Another person was first. To this one it remains an open claim.
        raise InvalidCode from None
