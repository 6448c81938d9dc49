"""Handler of `confirmation`: sends a code, or a notice to the address' verified owner."""

from django.conf import settings
from django.db.models.functions import Now

from domain.model import one_time_code
from domain.model.address import Address, Channel
from domain.postgres import message_quotas, models
from domain.postgres.delivery_receipts import make_reference
from domain.postgres.keyring import get_keyring
from domain.postgres.outbox import LeasedEntry, Outcome
from domain.postgres.person_queries import verified_owner_filter
from domain.postgres.repositories.confirmations import derivation_context, is_expired
from workers.messages import confirmation, notices
from workers.messages.message import Message
from workers.providers.base import PermanentFailure
from workers.providers.registry import get_provider

_State = models.OutboxEntry.State


def send(entry: LeasedEntry) -> Outcome:
    """Sends the code (and link) of the entry's confirmation, unless it is not needed any more.

    Raises `TemporaryFailure` and `PermanentFailure` as the provider does, `QuotaExceeded`, and
    `PermanentFailure` once the code has expired. The code's lifetime starts before the first
    attempt, not at its success: a provider that drops the connection may have sent it all the same.
    """
    rows = models.Confirmation.objects.filter(outbox=entry.id).select_related("person")
    row = rows.annotate(now=Now()).first()
    if row is None:
        return Outcome(_State.DISCARDED, "person_deleted")
    if row.confirmed_at or row.superseded_at:
        return Outcome(_State.DISCARDED, "confirmed" if row.confirmed_at else "superseded")
    address = Address(Channel(row.channel), row.address)
    # The owner must not get a code that would confirm another person.
    owners = models.Person.objects.filter(verified_owner_filter(address)).exclude(id=row.person_id)
    has_verified_owner = owners.exists()
    if row.invalidated and not has_verified_owner:
        return Outcome(_State.DISCARDED, "invalidated")
    purpose = "notice" if has_verified_owner else "confirmation"
    message_quotas.reserve_first_attempt(row, purpose, address)
    message = _address_in_use_notice(row) if has_verified_owner else _build_message(row)
    message_id = get_provider(address.channel).send(message, make_reference(entry.id))
    return Outcome(_State.DONE, "owner_notified" if has_verified_owner else "", message_id)


def _address_in_use_notice(row: models.Confirmation) -> Message:
    return notices.address_in_use_notice(settings, channel=row.channel, to=row.address)


def _build_message(row: models.Confirmation) -> Message:
    """Builds the message with what has not expired. Raises `PermanentFailure` if all has."""
    context = derivation_context(row, row.address_canonical)
    code = link_token = None
    if not is_expired(row, one_time_code.CODE_LIFETIME[context.channel]):
        code = one_time_code.derive_code(get_keyring(), context)
    if not is_expired(row, one_time_code.LINK_LIFETIME):
        link_token = one_time_code.derive_link_token(get_keyring(), context)
    to, name = row.address, row.person.name
    if context.channel == Channel.PHONE and code is not None:
        return confirmation.confirmation_sms(settings, to=to, name=name, code=code)
    if context.channel == Channel.EMAIL and link_token is not None:
        return confirmation.confirmation_email(
            settings, to=to, name=name, code=code, link_token=link_token
        )
    raise PermanentFailure("code_expired")
