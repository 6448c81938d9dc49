"""Message quotas, used in the transaction that reserves the first attempt to send.

docs/security.md has what they bound. A message above a quota is postponed until the quota allows
it, or given up if it is of no use by then.
"""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from domain.model import one_time_code
from domain.model.address import Address, Channel
from domain.model.errors import QuotaExceeded
from domain.model.keyed_hash import hash_address
from domain.postgres import locks, models, sliding_windows, sms_quotas
from domain.postgres.keyring import get_keyring
from domain.postgres.models import OutboxEntry
from domain.postgres.sliding_windows import WindowLimit
from domain.postgres.sms_quotas import SmsClass
from domain.postgres.sql import fetch_one

_MAX_POSTPONEMENT = one_time_code.LINK_LIFETIME
# The attempts left at six-digit codes that were sent to an address and have not expired: to its
# owner, and to all who claim it. The newest few rows of an index, of however many claims.
_COUNT_OPEN_GUESSES = """
    SELECT coalesce(sum(greatest(%(max_attempts)s - attempts, 0)), 0) FROM (
        SELECT attempts FROM rollcall_confirmation
        WHERE channel = %(channel)s AND address_canonical = %(address)s
            AND code_length = %(short)s AND confirmed_at IS NULL AND superseded_at IS NULL
            AND first_attempted_at > now() - %(confirmation_lifetime)s
        UNION ALL
        SELECT attempts FROM rollcall_signinchallenge
        WHERE address_hash = ANY(%(hashes)s) AND code_length = %(short)s
            AND superseded_at IS NULL AND first_attempted_at > now() - %(sign_in_lifetime)s
    ) AS open
"""


def reserve_sending(
    row: models.CodeRow, purpose: str, address: Address, *, has_code: bool = True
) -> bool:
    """Reserves the first attempt to send a row's message, within the quotas, and starts the
    lifetime of its code, whose length it decides. Further attempts use nothing up.

    Quotas are separate for each `purpose`. Returns False if the row has been deleted. Raises
    `QuotaExceeded`.
    """
    if row.first_attempted_at is not None:
        return True
    table: Any = type(row)._default_manager
    with transaction.atomic():
        try:
            _use_quotas(row, purpose, address, has_code=has_code)
        except QuotaExceeded as error:
            age = row.now - row.created_at  # type: ignore[union-attr]  # an annotation of the query
            raise _postpone_or_give_up(error, age, _lifetime(row)) from None
        length = _choose_code_length(address) if has_code else None
        # One update: a second one of the same transaction would check the foreign key, and wait for
        # an erasure of the person that waits for this row.
        is_first = table.filter(id=row.pk, first_attempted_at=None).update(
            first_attempted_at=Now(), code_length=length
        )
        if is_first:
            row.code_length = length
            return True
        # Another worker, whose lease has expired, was first, or the person was erased.
        transaction.set_rollback(True)
    return _read_reservation(row)


def _read_reservation(row: models.CodeRow) -> bool:
    """Reads what another worker has reserved of a row; False if it has been deleted."""
    reserved = type(row)._default_manager.filter(id=row.pk)
    columns = reserved.values_list("first_attempted_at", "code_length").first()
    if columns is None:
        return False
    row.first_attempted_at, row.code_length = columns
    return True


def use_notice_quota(entry_id: int, address: Address, age: timedelta) -> None:
    """Uses the quota of notices of address changes up, once for an outbox entry that is `age` old.

    No other message can use it. Raises `QuotaExceeded`.
    """
    with transaction.atomic():
        entry = OutboxEntry.objects.filter(id=entry_id, quota_used=False)
        if not entry.update(quota_used=True):
            return
        try:
            _use_address_quota("change notice", address, WindowLimit(settings.MESSAGES_PER_DAY))
            if address.channel is Channel.PHONE:
                sms_quotas.use(address.value, SmsClass.OWNER)
        except QuotaExceeded as error:
            raise _postpone_or_give_up(error, age, _MAX_POSTPONEMENT) from None


def _use_quotas(row: models.CodeRow, purpose: str, address: Address, *, has_code: bool) -> None:
    """Uses up the quota of the network that asked for the message, and that of the address.

    Requests from a network that the owner has used before do not count to the address: others could
    use that quota up first.
    """
    network = bytes(row.network_hash) if row.network_hash is not None else None
    if network is not None:
        _use_address_quota(purpose, address, sliding_windows.message_limit(), network)
    sms_class = _classify(row, has_code=has_code)
    is_known = sms_class is SmsClass.KNOWN_OWNER
    if not is_known:
        _use_address_quota(purpose, address, WindowLimit(settings.MESSAGES_PER_DAY))
    if address.channel is Channel.PHONE:
        sms_quotas.use(address.value, sms_class, None if is_known else network)


def _classify(row: models.CodeRow, *, has_code: bool) -> SmsClass:
    if isinstance(row, models.SignInChallenge):
        return SmsClass.KNOWN_OWNER if row.from_known_network else SmsClass.OWNER
    if row.replaces_address:
        return SmsClass.OWNER
    return SmsClass.SIGN_UP if has_code else SmsClass.NOTICE


def _use_address_quota(purpose: str, address: Address, limit: WindowLimit, *more: bytes) -> None:
    parts = (purpose.encode(), address.channel.encode(), address.canonical.encode(), *more)
    if retry_after := sliding_windows.hit(sliding_windows.window_keys("messages", *parts), limit):
        raise QuotaExceeded("address_quota", retry_after.total_seconds())


def _postpone_or_give_up(
    error: QuotaExceeded, age: timedelta, lifetime: timedelta
) -> QuotaExceeded:
    """Returns the error with the time until the next try, or with None if it is of no use by then.

    That is at least as long as the message has waited so far: however many an attacker has had
    postponed, each is tried a few times and not every hour.
    """
    waited, left = age.total_seconds(), (lifetime - age).total_seconds()
    if error.retry_after is None or error.retry_after > left:
        return QuotaExceeded(error.code)
    return QuotaExceeded(error.code, max(error.retry_after, min(waited, left)))


def _lifetime(row: models.CodeRow) -> timedelta:
    """Returns for how long after its creation a message may be postponed."""
    is_sign_in = isinstance(row, models.SignInChallenge)
    return one_time_code.SIGN_IN_LIFETIME if is_sign_in else _MAX_POSTPONEMENT


def _choose_code_length(address: Address) -> int:
    """Returns the length of the next code to an address.

    It locks nothing that an attempt at a code needs: that would be slower for a known address.
    """
    locks.lock_code_length(address)  # two codes at once would both be short
    hashes = hash_address(get_keyring(), address)
    open_guesses = _count_open_guesses(address, hashes)
    # Counted last: an attempt in between counts twice, and not never.
    return one_time_code.choose_code_length(sliding_windows.count_failures(hashes), open_guesses)


def _count_open_guesses(address: Address, hashes: list[bytes]) -> int:
    params: dict[str, Any] = {
        "max_attempts": one_time_code.MAX_ATTEMPTS,
        "short": one_time_code.SHORT_CODE,
        "channel": address.channel,
        "address": address.canonical,
        "hashes": hashes,
        "confirmation_lifetime": one_time_code.CODE_LIFETIME[address.channel],
        "sign_in_lifetime": one_time_code.SIGN_IN_LIFETIME,
    }
    (open_guesses,) = fetch_one(_COUNT_OPEN_GUESSES, params)
    return int(open_guesses)
