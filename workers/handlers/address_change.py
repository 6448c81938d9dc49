"""Handler of `address_change_notice`: tells a verified address that it is to be replaced."""

from django.conf import settings
from django.db import transaction

from domain.model.address import Address, Channel
from domain.postgres import message_quotas, models
from domain.postgres.delivery_receipts import make_reference
from domain.postgres.outbox import LeasedEntry, Outcome
from domain.postgres.rate_limits import RateLimit
from workers.messages import notices
from workers.providers.registry import get_provider


def send(entry: LeasedEntry) -> Outcome:
    """Sends the notice, also if the change was completed or withdrawn meanwhile.

    Raises `TemporaryFailure` and `PermanentFailure` as the provider does, and `QuotaExceeded`.
    """
    row = models.Confirmation.objects.filter(outbox=entry.id).first()
    if row is None:
        return Outcome(models.OutboxEntry.State.DISCARDED, "person_deleted")
    channel = Channel(row.channel)
    address = Address(channel, row.replaces_address)
    if entry.attempts == 1:
        with transaction.atomic():
            message_quotas.consume("notice", address, RateLimit(settings.MESSAGES_PER_DAY))
    message = notices.address_change_notice(settings, channel=channel, to=address.value)
    message_id = get_provider(channel).send(message, make_reference(entry.id))
    return Outcome(models.OutboxEntry.State.DONE, provider_message_id=message_id)
