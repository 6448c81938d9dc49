"""What the handlers share: the check of a code's key, and the sending of a message."""

from datetime import datetime, timedelta

from django.conf import settings

from domain.postgres.delivery_receipts import make_reference
from domain.postgres.keyring import get_keyring
from domain.postgres.models import CodeRow, OutboxEntry
from domain.postgres.outbox import LeasedEntry, Outcome
from workers.messages.drafts import Draft
from workers.messages.rendering import render
from workers.providers.base import PermanentFailure, TemporaryFailure
from workers.providers.registry import get_provider


def require_key(row: CodeRow, lifetime: timedelta) -> None:
    """Returns if this worker has the key of a row, which was read with `annotate(now=Now())`: it
    may lack it during a key rotation.

    Checked before the first attempt, which starts the lifetime of the code: another worker may
    have the key. Raises `TemporaryFailure`, and `PermanentFailure` once the row is older than
    `lifetime`.
    """
    if get_keyring().get(bytes(row.key_id)) is None:
        now: datetime = row.now  # type: ignore[union-attr]  # an annotation of the query
        is_useless = now - row.created_at > lifetime
        raise PermanentFailure("key_unknown") if is_useless else TemporaryFailure("key_unknown")


def send_draft(
    entry: LeasedEntry, draft: Draft, locale: str | None, reason_code: str = ""
) -> Outcome:
    """Renders an entry's message in a language (None: the default), and sends it.

    Raises `TemporaryFailure` and `PermanentFailure` as the provider does.
    """
    message = render(settings, locale, draft)
    message_id = get_provider(draft.channel).send(message, make_reference(entry.id))
    return Outcome(OutboxEntry.State.DONE, reason_code, message_id)
