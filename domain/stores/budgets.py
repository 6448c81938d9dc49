"""How many messages may go to an address, counted in the transaction that begins to send one."""

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from domain.address import Address, Channel
from domain.errors import OverBudget
from domain.limits import NO_TIME, Rule
from domain.stores import models, sms, tallies


def begin(row: models.Confirmation | models.SignIn, purpose: str, address: Address) -> None:
    """Start the clock of a row's code, with the first attempt to send it, if a message may go out.

    Later attempts to send the same cost nothing more. Raises `OverBudget`.
    """
    with transaction.atomic():
        rows = type(row).objects.select_for_update().filter(id=row.pk, first_sent_at=None)
        if not rows:
            return
        # The pause between two sign-in codes was kept when this one was asked for.
        pause = NO_TIME if isinstance(row, models.SignIn) else settings.MESSAGE_PAUSE
        take(purpose, address, Rule(settings.MESSAGES_A_DAY, pause))
        type(row).objects.filter(id=row.pk).update(first_sent_at=Now())


def take(purpose: str, address: Address, rule: Rule) -> None:
    """Count a message to an address. Needs a transaction.

    Raises `OverBudget`, with the seconds to wait if that is all there is against it.
    """
    subject = tallies.messages(purpose, address)
    wait = tallies.take(subject, rule)
    if wait and tallies.count(subject) >= rule.most:
        raise OverBudget("address_budget")
    if wait:
        raise OverBudget("address_pause", wait.total_seconds())
    if address.channel is Channel.PHONE:
        sms.take(address.value)
