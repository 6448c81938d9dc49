"""SMS quotas, allowed countries, and protection against SMS pumping.

Counted by hour and by the first six characters of the number (+34666): fraud uses number ranges.
"""

from datetime import datetime

from django.conf import settings
from django.db import connection
from django.db.models import F

from domain.model.errors import QuotaExceeded
from domain.model.phone_number import is_in_countries
from domain.postgres.models import SmsPrefixStats

_PREFIX_LENGTH = 6
_ADVISORY_LOCK_ID = 0x524F4C4C  # of the SMS quotas; any number that nothing else uses
# The codes of a more recent hour may still be used.
_CONVERSION_DELAY = "1 hour 10 minutes"
_SELECT_TOTALS = """
    SELECT coalesce(sum(sent), 0),
        coalesce(sum(sent) FILTER (WHERE prefix = %(prefix)s), 0),
        coalesce(sum(sent) FILTER (WHERE prefix = %(prefix)s AND mature), 0),
        coalesce(sum(converted) FILTER (WHERE prefix = %(prefix)s AND mature), 0)
    FROM rollcall_smsprefixstats,
        LATERAL (SELECT hour_start <= now() - %(conversion_delay)s::interval AS mature)
    WHERE hour_start > now() - interval '24 hours'
"""
_INCREMENT = """
    INSERT INTO rollcall_smsprefixstats AS t (prefix, hour_start, sent, converted)
    VALUES (%s, date_trunc('hour', now(), 'UTC'), 1, 0)
    ON CONFLICT (hour_start, prefix) DO UPDATE SET sent = t.sent + 1
"""


def consume(number: str) -> None:
    """Consumes a text message to a number. Needs a transaction.

    Raises `QuotaExceeded`: `sms_country_not_allowed`, `sms_low_conversion`, `sms_prefix_quota`,
    `sms_quota`.
    """
    if not is_country_allowed(number):
        raise QuotaExceeded("sms_country_not_allowed")
    prefix = number[:_PREFIX_LENGTH]
    with connection.cursor() as cursor:
        # Serialized until the end of the transaction: two at once would both see one message left.
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ADVISORY_LOCK_ID])
        cursor.execute(_SELECT_TOTALS, {"prefix": prefix, "conversion_delay": _CONVERSION_DELAY})
        total, prefix_total, mature, converted = cursor.fetchone()
        if total >= settings.SMS_PER_DAY:
            raise QuotaExceeded("sms_quota")
        if prefix_total >= settings.SMS_PER_PREFIX_PER_DAY:
            raise QuotaExceeded("sms_prefix_quota")
        # Recovers by itself: after a day without messages the prefix has no totals left.
        has_enough_samples = mature >= settings.SMS_CONVERSION_MIN_SAMPLE
        if has_enough_samples and converted < settings.SMS_CONVERSION_MIN_RATE * mature:
            raise QuotaExceeded("sms_low_conversion")
        cursor.execute(_INCREMENT, [prefix])


def is_country_allowed(number: str) -> bool:
    """Returns whether `SMS_COUNTRIES` has the country of an E.164 number (empty: all)."""
    return not settings.SMS_COUNTRIES or is_in_countries(number, settings.SMS_COUNTRIES)


def record_conversion(number: str, sent_at: datetime) -> None:
    """Records that a code was used, for the hour in which it was sent."""
    hour_start = sent_at.replace(minute=0, second=0, microsecond=0)
    SmsPrefixStats.objects.filter(prefix=number[:_PREFIX_LENGTH], hour_start=hour_start).update(
        converted=F("converted") + 1
    )
