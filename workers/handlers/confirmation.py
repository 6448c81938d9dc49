"""Handler of `confirmation`: sends a code, or a notice to the address' verified owner."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from domain.model import one_time_code
from domain.model.address import Address, Channel
from domain.model.errors import QuotaExceeded
from domain.postgres import message_quotas, models, outbox
from domain.postgres.code_rows import derivation_context, is_expired
from domain.postgres.keyring import get_keyring
from domain.postgres.outbox import LeasedEntry, Outcome
from domain.postgres.person_queries import verified_owner_filter
from workers.handlers.sending import require_key, send_draft
from workers.messages import drafts
from workers.messages.drafts import Draft
from workers.providers.base import PermanentFailure

_State = models.OutboxEntry.State
_WAITS_FOR_EMAIL = "email_not_confirmed"
_RECHECK_INTERVAL = 86_400.0  # seconds; a confirmation of the e-mail address makes it due at once


def send(entry: LeasedEntry) -> Outcome | None:
    """Sends the code (and link) of the entry's confirmation, unless it is not needed any more.

    Returns None if the entry waits for the confirmation of the e-mail address. Raises
    `TemporaryFailure` and `PermanentFailure` as the provider does, `QuotaExceeded`,
    `TemporaryFailure` if this worker lacks the key of the code, and `PermanentFailure` once the
    code has expired. The code's lifetime starts before the first attempt to send it, not at its
    success: a provider that drops the connection may have sent it all the same.
    """
    rows = models.Confirmation.objects.filter(outbox=entry.id).select_related("person")
    row = rows.annotate(now=Now()).first()
    if row is None:
        return Outcome(_State.DISCARDED, "person_deleted")
    if row.confirmed_at or row.superseded_at:
        return Outcome(_State.DISCARDED, "confirmed" if row.confirmed_at else "superseded")
    address = Address(Channel(row.channel), row.address)
    # The owner must not get a code that would confirm another person.
    owners = models.Person.objects.filter(verified_owner_filter(address)).exclude(id=row.person_id)
    locales = list(owners.values_list("locale", flat=True))
    has_verified_owner = bool(locales)
    if _waits_for_email(row) and _postpone_until_confirmed(entry, row):
        return None
    if not has_verified_owner:
        require_key(row, one_time_code.LINK_LIFETIME)
    purpose, has_code = ("notice", False) if has_verified_owner else ("confirmation", True)
    if not message_quotas.reserve_sending(row, purpose, address, has_code=has_code):
        return Outcome(_State.DISCARDED, "person_deleted")
    if has_verified_owner:
        return send_draft(entry, _draft_notice(row), locales[0], "owner_notified")
    return send_draft(entry, _draft_message(row), row.person.locale)


def _draft_notice(row: models.Confirmation) -> Draft:
    """Returns the notice to the address' owner. Raises `PermanentFailure` once it is of no use."""
    if is_expired(row, one_time_code.LINK_LIFETIME):
        raise PermanentFailure("notice_expired")
    return drafts.address_in_use_notice(settings, channel=row.channel, to=row.address)


def _waits_for_email(row: models.Confirmation) -> bool:
    """Returns whether this is a sign-up's text message, and its e-mail is to be confirmed first."""
    is_sign_up = row.channel == Channel.PHONE and not row.replaces_address
    return settings.SMS_AFTER_EMAIL and is_sign_up and row.person.email_verified_at is None


def _postpone_until_confirmed(entry: LeasedEntry, row: models.Confirmation) -> bool:
    """Postpones the entry; False if the e-mail address was confirmed at this moment.

    Under the person's lock: a confirmation either finds the postponed entry, or is found here.
    Raises `QuotaExceeded` once it is of no use.
    """
    age: timedelta = row.now - row.created_at  # type: ignore[attr-defined]  # an annotation of the query
    if age >= settings.UNVERIFIED_RETENTION:
        raise QuotaExceeded(_WAITS_FOR_EMAIL)
    with transaction.atomic():
        people = models.Person.objects.select_for_update().filter(id=row.person_id)
        person = people.first()
        if person is None or person.email_verified_at is not None:
            return False
        outbox.postpone(entry, _WAITS_FOR_EMAIL, _RECHECK_INTERVAL)
        return True


def _draft_message(row: models.Confirmation) -> Draft:
    """Returns the message with what has not expired. Raises `PermanentFailure` if all has."""
    context, keyring = derivation_context(row), get_keyring()
    to, name = row.address, row.person.name
    is_code_valid = not is_expired(row, one_time_code.CODE_LIFETIME[context.channel])
    code = one_time_code.derive_code(keyring, context) if is_code_valid else None
    if context.channel == Channel.PHONE and code is not None:
        return drafts.confirmation_sms(settings, to=to, name=name, code=code)
    is_link_valid = context.channel == Channel.EMAIL and not is_expired(
        row, one_time_code.LINK_LIFETIME
    )
    link_token = one_time_code.derive_link_token(keyring, context)
    if is_link_valid and link_token is not None:
        return drafts.confirmation_email(
            settings, to=to, name=name, code=code, link_token=link_token
        )
    raise PermanentFailure("code_expired")
