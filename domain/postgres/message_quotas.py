"""Message quotas per address, consumed in the transaction that reserves the first attempt."""

from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from domain.model.address import Address, Channel
from domain.model.errors import QuotaExceeded
from domain.postgres import models, rate_limits, sms_quotas
from domain.postgres.rate_limits import ZERO, RateLimit


def reserve_first_attempt(row: models.CodeRow, purpose: str, address: Address) -> None:
    """Reserves the first attempt to send a row's code, within the quotas, and starts its lifetime.

    Further attempts consume nothing. Raises `QuotaExceeded`.
    """
    # The cooldown between two sign-in codes was checked when this one was requested.
    cooldown = ZERO if isinstance(row, models.SignInChallenge) else settings.MESSAGE_COOLDOWN
    table: Any = type(row)._default_manager
    with transaction.atomic():
        if table.filter(id=row.pk, first_attempted_at=None).update(first_attempted_at=Now()):
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
