"""What text messages may cost: budgets a day, countries, and a breaker for numbers that only cost.

Counted by hour and by the first six characters of the number (+34666): fraud comes in ranges.
"""

from datetime import datetime, timedelta

import phonenumbers
from django.conf import settings
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from domain.errors import QuotaExceeded
from domain.stores.models import SmsPrefixStats

_PREFIX_LENGTH = 6
_ADVISORY_LOCK_ID = 0x524F4C4C  # of all who count text messages; any number that nobody else uses
# An hour whose codes may still be typed says nothing yet about what comes of them.
_CONVERSION_DELAY = "1 hour 10 minutes"
_SELECT_TOTALS = """
    SELECT coalesce(sum(sent), 0),
        coalesce(sum(sent) FILTER (WHERE prefix = %(prefix)s), 0),
        coalesce(sum(sent) FILTER (WHERE prefix = %(prefix)s AND mature), 0),
        coalesce(sum(converted) FILTER (WHERE prefix = %(prefix)s AND mature), 0)
    FROM stores_smsprefixstats, LATERAL (SELECT hour_start <= now() - %(conversion_delay)s::interval AS mature)
    WHERE hour_start > now() - interval '24 hours'
"""
_INCREMENT = """
    INSERT INTO stores_smsprefixstats AS t (prefix, hour_start, sent, converted)
    VALUES (%s, date_trunc('hour', now(), 'UTC'), 1, 0)
    ON CONFLICT (hour_start, prefix) DO UPDATE SET sent = t.sent + 1
"""


def consume(number: str) -> None:
    """Count a text message to a number, if it may be sent. Needs a transaction.

    Raises `OverBudget`: `sms_country_not_allowed`, `sms_low_conversion`, `sms_prefix_quota`, `sms_quota`.
    """
    if not is_country_allowed(number):
        raise QuotaExceeded("sms_country_not_allowed")
    prefix = number[:_PREFIX_LENGTH]
    with connection.cursor() as cursor:
        # One after the other, until the transaction ends: two at once would both see one left.
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ADVISORY_LOCK_ID])
        cursor.execute(_SELECT_TOTALS, {"prefix": prefix, "conversion_delay": _CONVERSION_DELAY})
        total, prefix_total, mature, converted = cursor.fetchone()
        if total >= settings.SMS_PER_DAY:
            raise QuotaExceeded("sms_quota")
        if prefix_total >= settings.SMS_PER_PREFIX_PER_DAY:
            raise QuotaExceeded("sms_prefix_quota")
        # It mends itself: a day after the last messages there is nothing left against the prefix.
        has_enough_samples = mature >= settings.SMS_CONVERSION_MIN_SAMPLE
        if has_enough_samples and converted < settings.SMS_CONVERSION_MIN_RATE * mature:
            raise QuotaExceeded("sms_low_conversion")
        cursor.execute(_INCREMENT, [prefix])


def is_country_allowed(number: str) -> bool:
    """Whether text messages go to the country of an E.164 number (all, if none is set)."""
    if not settings.SMS_COUNTRIES:
        return True
    region = phonenumbers.region_code_for_number(phonenumbers.parse(number))
    return region in settings.SMS_COUNTRIES


def record_conversion(number: str, sent_at: datetime) -> None:
    """Count that a code was typed, for the hour in which it was sent."""
    hour_start = sent_at.replace(minute=0, second=0, microsecond=0)
    SmsPrefixStats.objects.filter(prefix=number[:_PREFIX_LENGTH], hour_start=hour_start).update(
        converted=F("converted") + 1
    )


def delete_old_stats() -> int:
    """Delete the counts that are older than 30 days; returns how many."""
    return SmsPrefixStats.objects.filter(hour_start__lt=Now() - timedelta(days=30)).delete()[0]
