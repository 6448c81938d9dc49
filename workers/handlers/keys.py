"""The keys of codes, which a worker may lack during a key rotation."""

from datetime import datetime, timedelta

from domain.postgres.keyring import get_keyring
from domain.postgres.models import CodeRow
from workers.providers.base import PermanentFailure, TemporaryFailure


def require_key(row: CodeRow, lifetime: timedelta) -> None:
    """Returns if this worker has the key of a row, which was read with `annotate(now=Now())`.

    Checked before the first attempt, which starts the lifetime of the code: another worker may
    have the key. Raises `TemporaryFailure`, and `PermanentFailure` once the row is older than
    `lifetime`.
    """
    if get_keyring().get(bytes(row.key_id)) is None:
        now: datetime = row.now  # type: ignore[union-attr]  # an annotation of the query
        is_useless = now - row.created_at > lifetime
        raise PermanentFailure("key_unknown") if is_useless else TemporaryFailure("key_unknown")
