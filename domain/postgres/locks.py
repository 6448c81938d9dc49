"""Advisory locks of Postgres, held until the end of the transaction.

Their ids are derived without a server key: during a key rotation, processes with different keyrings
must take the same lock.
"""

from hashlib import sha256

from django.db import connection

from domain.model.address import Address


def lock_sms_quotas() -> None:
    """Takes the lock of what is counted over all numbers."""
    _execute("SELECT pg_advisory_xact_lock(%s)", _to_id("sms quotas"))


def lock_code_length(address: Address) -> None:
    """Takes the lock of the decision how long the next code to an address is."""
    parts = ("code length", address.channel, address.canonical)
    _execute("SELECT pg_advisory_xact_lock(%s)", _to_id(*parts))


def lock_address(address: Address, *, shared: bool = False) -> None:
    """Takes the lock of an address: `shared` to create sign-in challenges for its owner, so that
    erasing the owner leaves none.
    """
    function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    _execute(f"SELECT {function}(%s)", _to_id("address", address.channel, address.canonical))


def try_lock_idempotency_key(key: str) -> bool:
    """Takes the lock of an idempotency key; False if another transaction holds it."""
    return bool(_execute("SELECT pg_try_advisory_xact_lock(%s)", _to_id("idempotency", key)))


def try_lock_purge() -> bool:
    """Takes the lock of the purge; False if another transaction holds it."""
    return bool(_execute("SELECT pg_try_advisory_xact_lock(%s)", _to_id("purge")))


def lock_backend_keys() -> None:
    """Takes the lock of changes to backend keys."""
    _execute("SELECT pg_advisory_xact_lock(%s)", _to_id("backend keys"))


def _to_id(*parts: str) -> int:
    digest = sha256("\0".join(parts).encode()).digest()
    return int.from_bytes(digest[:8], signed=True)


def _execute(sql: str, lock_id: int) -> object:
    with connection.cursor() as cursor:
        cursor.execute(sql, [lock_id])
        return cursor.fetchone()[0]
