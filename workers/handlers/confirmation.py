"""Handler of `confirmation`: sends a code, or a notice to the address' verified owner."""

from django.conf import settings
from django.db.models.functions import Now

from domain.model import one_time_code
from domain.model.address import Address, Channel
from domain.postgres import keyring, message_quotas, models
from domain.postgres.outbox import LeasedEntry, Outcome
from domain.postgres.person_queries import verified_owner_filter
from domain.postgres.repositories.confirmations import derivation_context, is_expired
from workers.messages import confirmation, notices
from workers.providers import Message, PermanentFailure
from workers.providers.registry import get_provider


def send(entry: LeasedEntry) -> Outcome:
    """Sends the code (and link) of the entry's confirmation, unless it is not needed any more.

    Raises `TemporaryFailure` and `PermanentFailure` as the provider does, `QuotaExceeded`, and
    `PermanentFailure` once the code has expired. The code's lifetime starts before the first
    attempt, not at its success: a provider that drops the connection may have sent it all the same.
    """
    row = _load_row(entry)
    discard_reason = _discard_reason(row)
    if row is None or discard_reason:
        return Outcome(models.OutboxEntry.State.DISCARDED, discard_reason)
    address = Address(Channel(row.channel), row.address, row.address_canonical)
    # The owner must not get a code that would confirm another person (DESIGN section 3).
    owners = models.Person.objects.filter(verified_owner_filter(address)).exclude(id=row.person_id)
    has_verified_owner = owners.exists()
    if row.invalidated and not has_verified_owner:
        return Outcome(models.OutboxEntry.State.DISCARDED, "invalidated")
    message_quotas.reserve_first_attempt(
        row, "notice" if has_verified_owner else "confirmation", address
    )
    message = _address_in_use_notice(row) if has_verified_owner else _build_message(row)
    if message is None:
        raise PermanentFailure("code_expired")
    message_id = get_provider(message.channel).send(message)
    return Outcome(
        models.OutboxEntry.State.DONE, "owner_notified" if has_verified_owner else "", message_id
    )


def _load_row(entry: LeasedEntry) -> models.Confirmation | None:
    rows = models.Confirmation.objects.filter(outbox=entry.id).select_related("person")
    return rows.annotate(now=Now()).first()


def _discard_reason(row: models.Confirmation | None) -> str:
    if row is None:
        return "person_deleted"
    if row.confirmed_at is not None:
        return "confirmed"
    return "superseded" if row.superseded_at is not None else ""


def _address_in_use_notice(row: models.Confirmation) -> Message:
    return notices.address_in_use_notice(
        channel=row.channel,
        to=row.address,
        service=settings.SERVICE_NAME,
        public_url=settings.PUBLIC_URL,
    )


def _build_message(row: models.Confirmation) -> Message | None:
    """Returns the message with what has not expired; None if everything has."""
    context = derivation_context(row)
    lifetime = one_time_code.CODE_LIFETIME[context.channel]
    digits = (
        None
        if is_expired(row, lifetime)
        else one_time_code.derive_code(keyring.get_keyring(), context)
    )
    minutes = int(lifetime.total_seconds() // 60)
    if context.channel == Channel.PHONE:
        if digits is None:
            return None
        return confirmation.confirmation_sms(
            to=row.address,
            name=row.person.name,
            code=digits,
            minutes=minutes,
            domain=settings.SMS_DOMAIN,
            service=settings.SERVICE_NAME,
        )
    token = (
        None
        if is_expired(row, one_time_code.LINK_LIFETIME)
        else one_time_code.derive_link_token(keyring.get_keyring(), context)
    )
    if token is None:
        return None
    return confirmation.confirmation_email(
        to=row.address,
        name=row.person.name,
        code=digits,
        link=f"{settings.PUBLIC_URL}/confirm/email/#{token}",
        code_minutes=minutes,
        link_hours=int(one_time_code.LINK_LIFETIME.total_seconds() // 3600),
        service=settings.SERVICE_NAME,
        public_url=settings.PUBLIC_URL,
    )
