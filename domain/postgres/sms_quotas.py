"""SMS quotas, allowed countries, and protection against SMS pumping.

Counted by hour and by the first six characters of the number (+34666): fraud uses number ranges.
Messages to owners of verified numbers have quotas of their own, which no sign-up uses up.
"""

from datetime import datetime
from enum import Enum

from django.conf import settings
from django.db.models import F

from domain.model.errors import QuotaExceeded
from domain.model.phone_number import is_in_countries
from domain.postgres import locks, sliding_windows
from domain.postgres.models import SmsPrefixStats
from domain.postgres.sliding_windows import WindowLimit
from domain.postgres.sql import execute, fetch_all, fetch_one

_PREFIX_LENGTH = 6
# In place of a prefix: messages to owners, and separately those on request of a known network.
_OWNERS, _KNOWN_OWNERS = "(owners)", "(known)"
_RETRY_AFTER = 3600.0  # seconds: each hour some messages are no longer of the last 24
# The codes of a more recent hour may still be used.
_CONVERSION_DELAY = "1 hour 10 minutes"
_SELECT_TOTALS = """
    SELECT coalesce(sum(sent) FILTER (WHERE prefix LIKE '+%%'), 0),
        coalesce(sum(sent) FILTER (WHERE prefix = %(prefix)s), 0),
        coalesce(sum(codes_sent) FILTER (WHERE prefix = %(prefix)s AND mature), 0),
        coalesce(sum(converted) FILTER (WHERE prefix = %(prefix)s AND mature), 0)
    FROM rollcall_smsprefixstats,
        LATERAL (SELECT hour_start <= now() - %(conversion_delay)s::interval AS mature)
    WHERE hour_start > now() - interval '24 hours'
"""
_SELECT_USED = """
    SELECT CASE WHEN prefix LIKE '+%' THEN '' ELSE prefix END, sum(sent)
    FROM rollcall_smsprefixstats WHERE hour_start > now() - interval '24 hours' GROUP BY 1
"""
_INCREMENT = """
    INSERT INTO rollcall_smsprefixstats AS t (prefix, hour_start, sent, codes_sent, converted)
    VALUES (%(prefix)s, date_trunc('hour', now(), 'UTC'), 1, %(codes)s, 0)
    ON CONFLICT (hour_start, prefix)
    DO UPDATE SET sent = t.sent + 1, codes_sent = t.codes_sent + %(codes)s
"""


class SmsClass(Enum):
    """What a text message is for, and so which quotas count it."""

    SIGN_UP = "sign-up"  # a code to a number that was entered
    NOTICE = "notice"  # in place of such a code, to the owner of the number: it converts nothing
    OWNER = "owner"  # a code or notice that the owner of a verified address expects
    KNOWN_OWNER = "known owner"  # a code that the owner asked for, from a network of theirs


# Each has a quota: who pumps text messages may have verified numbers, and networks known for them.
_PREFIXES = {SmsClass.OWNER: _OWNERS, SmsClass.KNOWN_OWNER: _KNOWN_OWNERS}


def use(number: str, sms_class: SmsClass, network: bytes | None = None) -> None:
    """Uses up a text message to a number, on request of a network (its keyed hash; None: of one
    that is not limited). Needs a transaction.

    Raises `QuotaExceeded`: `sms_country_not_allowed` (for good), `sms_network_quota`,
    `sms_low_conversion`, `sms_prefix_quota`, `sms_quota`, `sms_owner_quota`.
    """
    if not is_country_allowed(number):
        raise QuotaExceeded("sms_country_not_allowed")
    if network is not None and settings.SMS_PER_NETWORK_PER_DAY:
        keys = sliding_windows.window_keys("sms", network)
        if wait := sliding_windows.hit(keys, WindowLimit(settings.SMS_PER_NETWORK_PER_DAY)):
            raise QuotaExceeded("sms_network_quota", wait.total_seconds())
    # Serialized until the end of the transaction: two at once would both see one message left.
    locks.lock_sms_quotas()
    prefix = _PREFIXES.get(sms_class, number[:_PREFIX_LENGTH])
    if reason := _find_exceeded(sms_class, *_select_totals(prefix)):
        raise QuotaExceeded(reason, _RETRY_AFTER)
    execute(_INCREMENT, {"prefix": prefix, "codes": int(sms_class is SmsClass.SIGN_UP)})


def _select_totals(prefix: str) -> tuple[int, int, int, int]:
    """Returns the messages of the last 24 hours: to new people, to a prefix; and of its codes that
    are old enough to judge, how many were sent and used.
    """
    params = {"prefix": prefix, "conversion_delay": _CONVERSION_DELAY}
    total, prefix_total, codes, converted = map(int, fetch_one(_SELECT_TOTALS, params))
    return total, prefix_total, codes, converted


def _find_exceeded(
    sms_class: SmsClass, total: int, prefix_total: int, codes: int, converted: int
) -> str | None:
    """Returns the quota that one more message would exceed, None if it would exceed none."""
    if sms_class in _PREFIXES:
        return "sms_owner_quota" if prefix_total >= settings.SMS_TO_OWNERS_PER_DAY else None
    if total >= settings.SMS_PER_DAY:
        return "sms_quota"
    if prefix_total >= settings.SMS_PER_PREFIX_PER_DAY:
        return "sms_prefix_quota"
    # Recovers automatically: after a day without messages the prefix has no totals left.
    has_enough_samples = codes >= settings.SMS_CONVERSION_MIN_SAMPLE
    if has_enough_samples and converted < settings.SMS_CONVERSION_MIN_RATE * codes:
        return "sms_low_conversion"
    return None


def get_quotas() -> dict[str, tuple[int, int]]:
    """Returns how many text messages a day are allowed, and are left now, by whom they are for:
    sign_ups, owners, or known_owners.

    It reads the rows of a day: no more than text messages were sent in it.
    """
    used = dict(fetch_all(_SELECT_USED))
    return {
        name: (limit, max(0, limit - int(used.get(prefix, 0))))
        for name, prefix, limit in (
            ("sign_ups", "", settings.SMS_PER_DAY),
            ("owners", _OWNERS, settings.SMS_TO_OWNERS_PER_DAY),
            ("known_owners", _KNOWN_OWNERS, settings.SMS_TO_OWNERS_PER_DAY),
        )
    }


def is_country_allowed(number: str) -> bool:
    """Returns whether `SMS_COUNTRIES` has the country of an E.164 number (empty: all)."""
    return not settings.SMS_COUNTRIES or is_in_countries(number, settings.SMS_COUNTRIES)


def record_conversion(number: str, sent_at: datetime) -> None:
    """Records that a code was used, for the hour in which it was sent."""
    hour_start = sent_at.replace(minute=0, second=0, microsecond=0)
    SmsPrefixStats.objects.filter(prefix=number[:_PREFIX_LENGTH], hour_start=hour_start).update(
        converted=F("converted") + 1
    )
