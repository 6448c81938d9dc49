"""Handlers of `address_change_notice` and `other_channel_notice`: tell the owner of a verified
address that an address of their account is to be replaced.
"""

from django.conf import settings
from django.db.models.functions import Now

from domain.model import one_time_code
from domain.model.address import Address, Channel
from domain.postgres import message_quotas, models
from domain.postgres.outbox import LeasedEntry, Outcome
from workers.handlers.sending import send_draft
from workers.messages import drafts
from workers.providers.base import PermanentFailure

_State = models.OutboxEntry.State


def send_to_replaced(entry: LeasedEntry) -> Outcome:
    """Sends the notice to the address that is to be replaced, also if the change was completed or
    withdrawn since.

    Raises `TemporaryFailure` and `PermanentFailure` as the provider does, and `QuotaExceeded`.
    """
    row = _find_confirmation(entry)
    if row is None:
        return Outcome(_State.DISCARDED, "person_deleted")
    return _send(entry, row, Address(Channel(row.channel), row.replaces_address))


def send_to_other_channel(entry: LeasedEntry) -> Outcome:
    """Sends the notice to the person's address on the other channel, if that is verified.

    Raises as `send_to_replaced`.
    """
    row = _find_confirmation(entry)
    if row is None:
        return Outcome(_State.DISCARDED, "person_deleted")
    (other,) = set(Channel) - {Channel(row.channel)}
    if getattr(row.person, f"{other}_verified_at") is None:
        return Outcome(_State.DISCARDED, "address_not_verified")
    return _send(entry, row, Address(other, getattr(row.person, other)))


def _find_confirmation(entry: LeasedEntry) -> models.Confirmation | None:
    rows = models.Confirmation.objects.filter(outbox=entry.id).select_related("person")
    return rows.annotate(now=Now()).first()


def _send(entry: LeasedEntry, row: models.Confirmation, to: Address) -> Outcome:
    age = row.now - row.created_at  # type: ignore[attr-defined]  # an annotation of the query
    if age > one_time_code.LINK_LIFETIME:
        raise PermanentFailure("notice_expired")
    message_quotas.use_notice_quota(entry.id, to, age)
    draft = drafts.address_change_notice(
        settings, channel=to.channel, to=to.value, changed=row.channel
    )
    return send_draft(entry, draft, row.person.locale)
