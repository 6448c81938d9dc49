"""Sessions, and the challenges by which they are created.

The methods are described in `domain.commands.ports.UnitOfWork`.
"""

from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db.models.functions import Now

from domain.commands.ports import CommandResult
from domain.model import one_time_code
from domain.model.address import Address, Channel
from domain.model.errors import InvalidCode, InvalidToken, TooManyAttempts
from domain.model.one_time_code import CodeSeed, DerivationContext
from domain.model.person import ActiveSession, Person
from domain.model.session_token import MAX_SESSIONS, TokenClaims
from domain.postgres import models, outbox, rate_limits, sms_quotas
from domain.postgres.person_queries import reload_person, verified_owner_filter
from domain.postgres.rate_limits import RateLimit
from domain.postgres.repositories.accounts import AccountRepository
from domain.postgres.repositories.confirmations import (
    FAILED_ATTEMPTS_LIMIT,
    count_attempt,
    derivation_context,
    is_expired,
)


class SessionRepository(AccountRepository):
    """The part of a unit of work that authenticates people and signs them in."""

    def find_active_session(self, digest: bytes, now: datetime) -> UUID | None:
        rows = models.Session.objects.filter(digest=digest, expires_at__gt=now)
        return rows.values_list("person_id", flat=True).first()

    def lock_person_by_token(self, claims: TokenClaims, now: datetime) -> Person:
        # The person is locked first: sessions are revoked under the same lock.
        if not self.lock_person(claims.person_id):
            raise InvalidToken
        if self.find_active_session(claims.digest, now) != claims.person_id:
            raise InvalidToken
        return reload_person(claims.person_id)

    def create_session(self, person_id: UUID, session: ActiveSession) -> CommandResult[Person]:
        models.Session.objects.create(
            person_id=person_id, digest=session.digest, expires_at=session.expires_at
        )
        rows = models.Session.objects.filter(person_id=person_id)
        newest = rows.filter(expires_at__gt=Now()).order_by("-id").values("id")[:MAX_SESSIONS]
        rows.exclude(id__in=list(newest.values_list("id", flat=True))).delete()
        return self.bump_version(person_id)

    def revoke_sessions(self, person_id: UUID, digest: bytes | None = None) -> None:
        rows = models.Session.objects.filter(person_id=person_id)
        (rows if digest is None else rows.filter(digest=digest)).delete()

    def create_sign_in_challenge(
        self, address: Address, address_hashes: list[bytes], seed: CodeSeed
    ) -> list[int]:
        limit = RateLimit(settings.MESSAGES_PER_DAY, settings.MESSAGE_COOLDOWN)
        if rate_limits.hit(rate_limits.messages_key("sign-in", address), limit):
            return []
        owners = models.Person.objects.filter(verified_owner_filter(address))
        owner_id = owners.values_list("id", flat=True).first()
        models.SignInChallenge.objects.filter(
            address_hash__in=address_hashes, superseded_at=None
        ).update(superseded_at=Now())
        row = models.SignInChallenge.objects.create(
            channel=address.channel,
            address_hash=address_hashes[0],
            person_id=owner_id,
            salt=seed.salt,
            key_id=seed.key_id,
        )
        return [outbox.add(models.OutboxEntry.Kind.SIGN_IN_CODE, owner_id, sign_in=row)]

    def record_sign_in_attempt(
        self, address: Address, address_hashes: list[bytes]
    ) -> DerivationContext | None:
        rows = models.SignInChallenge.objects.filter(address_hash__in=address_hashes)
        row = rows.annotate(now=Now()).order_by("-id").first()
        if row is not None and not count_attempt(row):
            remaining = row.created_at + one_time_code.SIGN_IN_LIFETIME - row.now
            raise TooManyAttempts(rate_limits.ceil_seconds(remaining))
        key = rate_limits.failed_sign_ins_key(address_hashes[0])
        if retry_after := rate_limits.hit(key, FAILED_ATTEMPTS_LIMIT):
            raise TooManyAttempts(rate_limits.ceil_seconds(retry_after))
        if row is None or row.superseded_at or is_expired(row, one_time_code.SIGN_IN_LIFETIME):
            return None
        return derivation_context(row, address.canonical)

    def consume_sign_in_code(self, challenge_id: int, address: Address) -> Person:
        owners = models.Person.objects.select_for_update().filter(verified_owner_filter(address))
        person = owners.first()
        rows = models.SignInChallenge.objects.filter(id=challenge_id, superseded_at=None)
        row = rows.first()
        if person is None or row is None or row.person_id != person.id:
            raise InvalidCode
        if not rows.update(superseded_at=Now()):
            raise InvalidCode
        rate_limits.reset(rate_limits.failed_sign_ins_key(bytes(row.address_hash)))
        if address.channel is Channel.PHONE and row.first_attempted_at is not None:
            sms_quotas.record_conversion(address.value, row.first_attempted_at)
        # A person who signed up with another's address may still have that session.
        # After the first sign-in no older session is left, so this may run at every one.
        confirmed_at = getattr(person, f"{address.channel}_verified_at")
        models.Session.objects.filter(person_id=person.id, created_at__lt=confirmed_at).delete()
        return reload_person(person.id)
