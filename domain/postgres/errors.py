"""Decides which database errors mean that Postgres is unavailable."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from django.db import Error, InterfaceError, OperationalError, connection

from domain.model.errors import ServiceUnavailable

log = structlog.get_logger(__name__)

_READ_ONLY = "25006"  # a standby, a demoted primary, or default_transaction_read_only
# psycopg raises these as InternalError, all others of this kind (57P01 to 57P05, 53xxx, 40001, a
# lost connection, our own deadline) as OperationalError.
_INTERNAL = {_READ_ONLY, "25P03", "25P04"}  # and the server's timeouts for idle transactions


def to_service_unavailable(error: BaseException) -> ServiceUnavailable | None:
    """Returns what to raise in place of `error` if Postgres is unavailable, else None; logs it.

    Closes a connection to a read-only server: the next one may find the primary.
    """
    cause = error.__cause__ or error
    sqlstate = getattr(cause, "sqlstate", None)
    if not isinstance(error, OperationalError | InterfaceError) and sqlstate not in _INTERNAL:
        return None
    log.warning("postgres_unavailable", error_type=type(cause).__name__)
    if sqlstate == _READ_ONLY:
        connection.close()
    return ServiceUnavailable(retry_after=2)


@contextmanager
def translate_database_errors() -> Iterator[None]:
    """Raises `ServiceUnavailable` in place of Django's database errors that mean it."""
    try:
        yield
    except Error as error:
        if translated := to_service_unavailable(error):
            raise translated from None
        raise
