"""How many messages may go to an address, counted in the transaction that begins to send one."""

from django.conf import settings
from django.db import connection, transaction

from domain.address import Address, Channel
from domain.errors import OverBudget
from domain.limits import NO_TIME, Rule
from domain.stores import models, sms, tallies

# now() is when the transaction began, so this row's clock was started in it if the two are equal.
_BEGIN = """
    SET first_sent_at = coalesce(first_sent_at, now()) WHERE id = %s RETURNING first_sent_at, now()
"""
_BEGIN_FOR = {
    models.Confirmation: f"UPDATE stores_confirmation {_BEGIN}",
    models.SignIn: f"UPDATE stores_signin {_BEGIN}",
}


def begin(row: models.Confirmation | models.SignIn, purpose: str, address: Address) -> None:
    """Start the clock of a row's code, with the first attempt to send it, if a message may go out.

    Later attempts to send the same cost nothing more. The row is told when its clock started.
    Raises `OverBudget`.
    """
    # The pause between two sign-in codes was kept when this one was asked for.
    pause = NO_TIME if isinstance(row, models.SignIn) else settings.MESSAGE_PAUSE
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_BEGIN_FOR[type(row)], [row.pk])
        found = cursor.fetchone()
        if found is None:
            return  # deleted meanwhile; whoever goes on finds out
        row.first_sent_at, now = found
        if row.first_sent_at == now:
            take(purpose, address, Rule(settings.MESSAGES_A_DAY, pause))


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
