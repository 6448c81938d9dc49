"""What text messages may cost: budgets a day, countries, and a breaker for numbers that only cost.

Counted by hour and by the first six characters of the number (+34666): fraud comes in ranges.
"""

from datetime import datetime, timedelta

import phonenumbers
from django.conf import settings
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from domain.errors import OverBudget
from domain.stores.models import TextMessages

_PREFIX = 6
_LOCK = 0x524F4C4C  # of all who count text messages; any number that nobody else uses
# An hour whose codes may still be typed says nothing yet about what comes of them.
_UNDECIDED = "1 hour 10 minutes"
_LOOK = """
    SELECT coalesce(sum(sent), 0),
        coalesce(sum(sent) FILTER (WHERE prefix = %(prefix)s), 0),
        coalesce(sum(sent) FILTER (WHERE prefix = %(prefix)s AND decided), 0),
        coalesce(sum(confirmed) FILTER (WHERE prefix = %(prefix)s AND decided), 0)
    FROM stores_textmessages, LATERAL (SELECT hour <= now() - %(undecided)s::interval AS decided)
    WHERE hour > now() - interval '24 hours'
"""
_COUNT = """
    INSERT INTO stores_textmessages AS t (prefix, hour, sent, confirmed)
    VALUES (%s, date_trunc('hour', now(), 'UTC'), 1, 0)
    ON CONFLICT (hour, prefix) DO UPDATE SET sent = t.sent + 1
"""


def take(number: str) -> None:
    """Count a text message to a number, if it may be sent. Needs a transaction.

    Raises `OverBudget`: `sms_country`, `sms_breaker`, `sms_budget_prefix`, `sms_budget`.
    """
    if not country_is_served(number):
        raise OverBudget("sms_country")
    prefix = number[:_PREFIX]
    with connection.cursor() as cursor:
        # One after the other, until the transaction ends: two at once would both see one left.
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        cursor.execute(_LOOK, {"prefix": prefix, "undecided": _UNDECIDED})
        everywhere, here, decided, confirmed = cursor.fetchone()
        if everywhere >= settings.SMS_A_DAY:
            raise OverBudget("sms_budget")
        if here >= settings.SMS_A_DAY_PREFIX:
            raise OverBudget("sms_budget_prefix")
        # It mends itself: a day after the last messages there is nothing left against the prefix.
        enough = decided >= settings.SMS_BREAKER_LEAST
        if enough and confirmed < settings.SMS_BREAKER_RATE * decided:
            raise OverBudget("sms_breaker")
        cursor.execute(_COUNT, [prefix])


def country_is_served(number: str) -> bool:
    """Whether text messages go to the country of an E.164 number (all, if none is set)."""
    if not settings.SMS_COUNTRIES:
        return True
    region = phonenumbers.region_code_for_number(phonenumbers.parse(number))
    return region in settings.SMS_COUNTRIES


def count_confirmed(number: str, sent_at: datetime) -> None:
    """Count that a code was typed, for the hour in which it was sent."""
    hour = sent_at.replace(minute=0, second=0, microsecond=0)
    TextMessages.objects.filter(prefix=number[:_PREFIX], hour=hour).update(
        confirmed=F("confirmed") + 1
    )


def purge() -> int:
    """Delete the counts that are older than 30 days; returns how many."""
    return TextMessages.objects.filter(hour__lt=Now() - timedelta(days=30)).delete()[0]
