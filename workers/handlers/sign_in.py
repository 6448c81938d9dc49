"""Handler of `sign_in_code`: sends a sign-in code."""

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from domain.model import one_time_code
from domain.model.address import Address, Channel
from domain.model.keyed_hash import hash_address
from domain.postgres import message_quotas, models
from domain.postgres.code_rows import derivation_context, is_expired
from domain.postgres.keyring import get_keyring
from domain.postgres.outbox import LeasedEntry, Outcome
from workers.handlers.sending import require_key, send_draft
from workers.messages import drafts
from workers.providers.base import PermanentFailure

_State = models.OutboxEntry.State


def send(entry: LeasedEntry) -> Outcome:
    """Sends the code to a verified address; discards the challenge of any other.

    Raises `TemporaryFailure` and `PermanentFailure` as the provider does, `QuotaExceeded`,
    `TemporaryFailure` if this worker lacks the key of the code, and `PermanentFailure` once the
    code has expired.
    """
    rows = models.SignInChallenge.objects.filter(outbox=entry.id).select_related("person")
    row = rows.annotate(now=Now()).first()
    if row is None:
        return Outcome(_State.DISCARDED, "person_deleted")
    if row.superseded_at is not None:
        return Outcome(_State.DISCARDED, "superseded")
    require_key(row, one_time_code.SIGN_IN_LIFETIME)  # also of the hash of its address
    address = _find_address(row)
    if address is None:
        # Written for these too, in a transaction as for others: an attempt at that moment waits for
        # this row, verified or not, until a COMMIT.
        with transaction.atomic():
            rows.filter(first_attempted_at=None).update(first_attempted_at=Now())
        return Outcome(_State.DISCARDED, "address_not_verified")
    if not message_quotas.reserve_sending(row, "sign-in", address):
        return Outcome(_State.DISCARDED, "person_deleted")
    if is_expired(row, one_time_code.SIGN_IN_LIFETIME):
        raise PermanentFailure("code_expired")
    code = one_time_code.derive_code(get_keyring(), derivation_context(row), one_time_code.SIGN_IN)
    if code is None:  # the address was not verified when its sending was first attempted
        return Outcome(_State.DISCARDED, "address_not_verified")
    draft = drafts.sign_in_code(settings, channel=address.channel, to=address.value, code=code)
    return send_draft(entry, draft, row.person.locale if row.person else None)


def _find_address(row: models.SignInChallenge) -> Address | None:
    """Returns the address of the challenge, if it is still verified; None if not."""
    if row.person is None or getattr(row.person, f"{row.channel}_verified_at") is None:
        return None
    address = Address(Channel(row.channel), getattr(row.person, row.channel))
    hashes = hash_address(get_keyring(), address)
    return address if bytes(row.address_hash) in hashes else None
