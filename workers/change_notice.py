"""The message to a confirmed address that another one is about to take its place."""

from django.conf import settings
from django.db import transaction

from domain.address import Address, Channel, key_of
from domain.limits import Rule
from domain.stores import budgets, models
from domain.stores.outbox import End, Job
from workers.deliveries import delivery_for
from workers.delivery import notices


def send(job: Job) -> End:
    """Tell the address, also when the change is done or was taken back meanwhile: it was asked for.

    Raises `TryAgain` and `Refused` as the delivery does, and `OverBudget`.
    """
    row = models.Confirmation.objects.filter(outbox=job.id).first()
    if row is None:
        return End(models.Outbox.State.DROPPED, "gone")
    channel = Channel(row.channel)
    address = Address(channel, row.replaces, key_of(channel, row.replaces))
    if job.attempts == 1:
        with transaction.atomic():
            budgets.take("notice", address, Rule(settings.MESSAGES_A_DAY))
    message = notices.change_notice(
        channel=channel,
        to=address.value,
        service=settings.SERVICE_NAME,
        public_url=settings.PUBLIC_URL,
    )
    return End(models.Outbox.State.DONE, provider_id=delivery_for(channel).send(message))
