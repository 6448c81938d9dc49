"""How many messages may go to an address, counted in the transaction that begins to send one."""

from django.conf import settings
from django.db import connection, transaction

from domain.address import Address, Channel
from domain.errors import QuotaExceeded
from domain.limits import ZERO, RateLimit
from domain.stores import models, sms, tallies

# now() is when the transaction began, so this row's clock was started in it if the two are equal.
_MARK_FIRST_ATTEMPT = """
    SET first_attempted_at = coalesce(first_attempted_at, now()) WHERE id = %s RETURNING first_attempted_at, now()
"""
_MARK_FIRST_ATTEMPT_BY_MODEL = {
    models.Confirmation: f"UPDATE stores_confirmation {_MARK_FIRST_ATTEMPT}",
    models.SignInChallenge: f"UPDATE stores_signinchallenge {_MARK_FIRST_ATTEMPT}",
}


def reserve_first_attempt(
    row: models.Confirmation | models.SignInChallenge, purpose: str, address: Address
) -> None:
    """Start the clock of a row's code, with the first attempt to send it, if a message may go out.

    Later attempts to send the same cost nothing more. The row is told when its clock started.
    Raises `OverBudget`.
    """
    # The pause between two sign-in codes was kept when this one was asked for.
    cooldown = ZERO if isinstance(row, models.SignInChallenge) else settings.MESSAGE_COOLDOWN
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_MARK_FIRST_ATTEMPT_BY_MODEL[type(row)], [row.pk])
        started = cursor.fetchone()
        if started is None:
            return  # deleted meanwhile; whoever goes on finds out
        row.first_attempted_at, now = started
        if row.first_attempted_at == now:
            consume(purpose, address, RateLimit(settings.MESSAGES_PER_DAY, cooldown))


def consume(purpose: str, address: Address, limit: RateLimit) -> None:
    """Count a message to an address. Needs a transaction.

    Raises `OverBudget`, with the seconds to wait if that is all there is against it.
    """
    key = tallies.messages_key(purpose, address)
    retry_after = tallies.hit(key, limit)
    if retry_after and tallies.count_hits(key) >= limit.max_per_day:
        raise QuotaExceeded("address_quota")
    if retry_after:
        raise QuotaExceeded("address_cooldown", retry_after.total_seconds())
    if address.channel is Channel.PHONE:
        sms.consume(address.value)
