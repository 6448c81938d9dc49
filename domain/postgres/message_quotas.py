"""Message quotas per address, consumed in the transaction that reserves the first attempt."""

from django.conf import settings
from django.db import connection, transaction

from domain.model.address import Address, Channel
from domain.model.errors import QuotaExceeded
from domain.model.rate_limit import ZERO, RateLimit
from domain.postgres import models, rate_limits, sms_quotas

# now() is the start of the transaction: if the two are equal, this one made the first attempt.
_MARK_FIRST_ATTEMPT = """
    SET first_attempted_at = coalesce(first_attempted_at, now())
    WHERE id = %s RETURNING first_attempted_at, now()
"""
_MARK_FIRST_ATTEMPT_BY_MODEL = {
    models.Confirmation: f"UPDATE rollcall_confirmation {_MARK_FIRST_ATTEMPT}",
    models.SignInChallenge: f"UPDATE rollcall_signinchallenge {_MARK_FIRST_ATTEMPT}",
}


def reserve_first_attempt(
    row: models.Confirmation | models.SignInChallenge, purpose: str, address: Address
) -> None:
    """Reserves the first attempt to send a row's code, within the quotas, and starts its lifetime.

    Further attempts consume nothing. Sets the row's `first_attempted_at`. Raises `QuotaExceeded`.
    """
    # The cooldown between two sign-in codes was checked when this one was requested.
    cooldown = ZERO if isinstance(row, models.SignInChallenge) else settings.MESSAGE_COOLDOWN
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_MARK_FIRST_ATTEMPT_BY_MODEL[type(row)], [row.pk])
        times = cursor.fetchone()
        if times is None:
            return  # deleted meanwhile; the caller finds out
        row.first_attempted_at, now = times
        if row.first_attempted_at == now:
            consume(purpose, address, RateLimit(settings.MESSAGES_PER_DAY, cooldown))


def consume(purpose: str, address: Address, limit: RateLimit) -> None:
    """Consumes a message to an address. Needs a transaction.

    Raises `QuotaExceeded`, with `retry_after` in seconds if only the cooldown has not passed.
    """
    key = rate_limits.messages_key(purpose, address)
    retry_after = rate_limits.hit(key, limit)
    if retry_after and rate_limits.count_hits(key) >= limit.max_per_day:
        raise QuotaExceeded("address_quota")
    if retry_after:
        raise QuotaExceeded("address_cooldown", retry_after.total_seconds())
    if address.channel is Channel.PHONE:
        sms_quotas.consume(address.value)
