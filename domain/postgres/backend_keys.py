"""The keys of the operator's backends: made, rotated and ended.

Changes take a lock, so that versions are committed in their order. A version is at least the time
in milliseconds: after a failover that has lost changes, the next one is the newest all the same.
"""

from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from domain.backend_keys import KeySet
from domain.model.backend_key import issue_key, key_digest
from domain.model.errors import RollcallError
from domain.postgres.errors import translate_database_errors
from domain.postgres.locks import lock_backend_keys
from domain.postgres.models import BackendKey
from domain.postgres.sql import fetch_all, fetch_one

_NOT_ENDED = Q(ends_at=None) | Q(ends_at__gt=Now())


class BackendExists(RollcallError):
    """A backend of that name has a key already."""

    code = "backend_exists"


class NoSuchBackend(RollcallError):
    """No backend of that name has a key that is not ended."""

    code = "no_such_backend"


def make(name: str) -> str:
    """Returns the key of a new backend. Raises `BackendExists`, and `ServiceUnavailable`."""
    with translate_database_errors(), transaction.atomic():
        version = _lock_for_change()
        if BackendKey.objects.filter(_NOT_ENDED, name=name).exists():
            raise BackendExists
        return _insert(name, version)


def rotate(name: str, grace: timedelta) -> str:
    """Returns a new key of a backend, whose others end after `grace`, if not before.

    Raises `NoSuchBackend`, and `ServiceUnavailable`.
    """
    with translate_database_errors(), transaction.atomic():
        version = _lock_for_change()
        rows = BackendKey.objects.filter(name=name)
        if not rows.filter(_NOT_ENDED).exists():
            raise NoSuchBackend
        ends_at = Now() + grace
        later = Q(ends_at=None) | Q(ends_at__gt=ends_at)
        rows.filter(later).update(ends_at=ends_at, version=version)
        return _insert(name, version)


def end(name: str) -> int:
    """Ends all keys of a backend now; returns how many. Raises as `rotate` does."""
    with translate_database_errors(), transaction.atomic():
        version = _lock_for_change()
        count = BackendKey.objects.filter(_NOT_ENDED, name=name).update(
            ends_at=Now(), version=version
        )
    if not count:
        raise NoSuchBackend
    return count


def get_key_set() -> KeySet:
    """Returns the keys that are not ended, as readers need them.

    Raises Django's `OperationalError` and `InterfaceError`.
    """
    # One statement, and so one snapshot: version and keys belong together.
    rows = fetch_all(
        "SELECT digest, ceil(extract(epoch FROM ends_at))::bigint,"
        " ends_at IS NULL OR ends_at > now(), version FROM rollcall_backendkey"
    )
    version = max((version for *_, version in rows), default=0)
    return KeySet(version, {bytes(digest): end for digest, end, is_active, _ in rows if is_active})


def _lock_for_change() -> int:
    """Returns the version of a change. Other changes wait until this transaction ends."""
    lock_backend_keys()
    version: int
    (version,) = fetch_one(
        "SELECT greatest(coalesce(max(version), 0) + 1,"
        " (extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM rollcall_backendkey"
    )
    return version


def _insert(name: str, version: int) -> str:
    key = issue_key()
    BackendKey.objects.create(name=name, digest=key_digest(key), version=version)
    return key
