"""Sign-in challenges and sessions."""

from uuid import UUID

from django.conf import settings
from django.db.models import F
from django.db.models.functions import Now

from domain.commands import ports
from domain.commands.ports import CommandResult
from domain.model import one_time_code, rate_limit
from domain.model.address import Address, Channel
from domain.model.errors import InvalidCode
from domain.model.one_time_code import DerivationContext
from domain.model.person import ActiveSession, Person
from domain.model.rate_limit import RateLimit
from domain.model.session_token import MAX_SESSIONS
from domain.postgres import models, rate_limits, sms_quotas
from domain.postgres.person_queries import NIL_UUID, reload_person, verified_owner_filter
from domain.postgres.repositories.accounts import AccountRepository, add_outbox_entry
from domain.postgres.repositories.confirmations import FAILED_ATTEMPTS_LIMIT, is_expired


class SessionRepository(AccountRepository):
    """The part of a unit of work that signs people in."""

    def create_sign_in_challenge(
        self, address: Address, address_hashes: list[bytes], salt: bytes, key_id: bytes
    ) -> list[int]:
        rate_limit_key = rate_limits.messages_key("sign-in", address)
        limit = RateLimit(settings.MESSAGES_PER_DAY, settings.MESSAGE_COOLDOWN)
        if rate_limits.hit(rate_limit_key, limit):
            return []
        owner_id = (
            models.Person.objects.filter(verified_owner_filter(address))
            .values_list("id", flat=True)
            .first()
        )
        rows = models.SignInChallenge.objects.filter(
            address_hash__in=address_hashes, superseded_at=None
        )
        rows.update(superseded_at=Now())
        row = models.SignInChallenge.objects.create(
            channel=address.channel,
            address_hash=address_hashes[0],
            person_id=owner_id,
            salt=salt,
            key_id=key_id,
        )
        return [add_outbox_entry(models.OutboxEntry.Kind.SIGN_IN_CODE, owner_id, sign_in=row)]

    def record_sign_in_attempt(
        self, address: Address, address_hashes: list[bytes]
    ) -> ports.SignInAttempt:
        newest = models.SignInChallenge.objects.filter(address_hash__in=address_hashes).order_by(
            "-id"
        )
        recorded = models.SignInChallenge.objects.filter(
            id=newest.values("id")[:1], attempts__lt=one_time_code.MAX_ATTEMPTS
        ).update(attempts=F("attempts") + 1)
        row = newest.annotate(now=Now()).first()
        if row is not None and not recorded:
            remaining = row.created_at + one_time_code.SIGN_IN_LIFETIME - row.now
            return ports.SignInAttempt(False, rate_limit.ceil_seconds(remaining), row.pk, None)
        retry_after = rate_limits.hit(
            rate_limits.failed_sign_ins_key(address_hashes[0]), FAILED_ATTEMPTS_LIMIT
        )
        if (
            row is None
            or row.superseded_at is not None
            or is_expired(row, one_time_code.SIGN_IN_LIFETIME)
        ):
            return ports.SignInAttempt(
                not retry_after, rate_limit.ceil_seconds(retry_after), 0, None
            )
        return ports.SignInAttempt(
            not retry_after,
            rate_limit.ceil_seconds(retry_after),
            row.pk,
            derivation_context(row, address),
        )

    def consume_sign_in_code(self, challenge_id: int, address: Address) -> Person:
        person = (
            models.Person.objects.select_for_update().filter(verified_owner_filter(address)).first()
        )
        row = models.SignInChallenge.objects.filter(id=challenge_id).first()
        if person is None or row is None or row.person_id != person.id:
            raise InvalidCode
        if not models.SignInChallenge.objects.filter(id=challenge_id, superseded_at=None).update(
            superseded_at=Now()
        ):
            raise InvalidCode
        rate_limits.reset(rate_limits.failed_sign_ins_key(bytes(row.address_hash)))
        if address.channel is Channel.PHONE and row.first_attempted_at is not None:
            sms_quotas.record_conversion(address.value, row.first_attempted_at)
        # A person who signed up with another's address may still have that session (DESIGN section
        # 3). After the first sign-in no older session is left, so this may run at every one.
        confirmed_at = getattr(person, f"{address.channel}_verified_at")
        models.Session.objects.filter(person_id=person.id, created_at__lt=confirmed_at).delete()
        return reload_person(person)

    def create_session(self, person_id: UUID, session: ActiveSession) -> CommandResult[Person]:
        models.Session.objects.create(
            person_id=person_id, digest=session.digest, expires_at=session.expires_at
        )
        rows = models.Session.objects.filter(person_id=person_id)
        newest = rows.filter(expires_at__gt=Now()).order_by("-id").values("id")[:MAX_SESSIONS]
        rows.exclude(id__in=list(newest.values_list("id", flat=True))).delete()
        return self.bump_version(person_id)


def derivation_context(row: models.SignInChallenge, address: Address) -> DerivationContext:
    """Returns the inputs from which the code of a sign-in challenge is derived.

    Unknown addresses use the nil UUID, so timing reveals nothing.
    """
    return DerivationContext(
        row_id=row.pk,
        person_id=row.person_id or NIL_UUID,
        channel=address.channel,
        address_canonical=address.canonical,
        salt=bytes(row.salt),
        key_id=bytes(row.key_id),
    )
