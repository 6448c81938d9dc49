"""Advisory locks of Postgres, held until the end of the transaction.

Their ids are derived without a server key: during a key rotation, processes with different keyrings
must take the same lock.
"""

from hashlib import sha256
from typing import Any

from domain.model.address import Address
from domain.postgres.sql import fetch_one


def lock_sms_quotas() -> None:
    """Takes the lock of what is counted over all numbers."""
    _call("pg_advisory_xact_lock", "sms quotas")


def lock_code_length(address: Address) -> None:
    """Takes the lock of the decision how long the next code to an address is."""
    _call("pg_advisory_xact_lock", "code length", address.channel, address.canonical)


def lock_address(address: Address, *, shared: bool = False) -> None:
    """Takes the lock of an address: `shared` to create sign-in challenges for its owner, so that
    erasing the owner leaves none.
    """
    function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    _call(function, "address", address.channel, address.canonical)


def try_lock_idempotency_key(key: str) -> bool:
    """Takes the lock of an idempotency key; False if another transaction holds it."""
    return bool(_call("pg_try_advisory_xact_lock", "idempotency", key))


def try_lock_purge() -> bool:
    """Takes the lock of the purge; False if another transaction holds it."""
    return bool(_call("pg_try_advisory_xact_lock", "purge"))


def lock_backend_keys() -> None:
    """Takes the lock of changes to backend keys."""
    _call("pg_advisory_xact_lock", "backend keys")


def _call(function: str, *name: str) -> Any:
    """Calls a function of Postgres with the id of the lock of that name; returns its result."""
    (result,) = fetch_one(f"SELECT {function}(%s)", [_to_id(*name)])
    return result


def _to_id(*name: str) -> int:
    digest = sha256("\0".join(name).encode()).digest()
    return int.from_bytes(digest[:8], signed=True)
