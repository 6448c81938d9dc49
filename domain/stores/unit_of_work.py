"""The unit of work on Postgres: one transaction, opened and committed here and nowhere else."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from django.db import InterfaceError, OperationalError, transaction

from domain.errors import Unavailable
from domain.stores.units.confirmations import Confirmations
from domain.stores.units.sessions import Sessions
from domain.stores.units.sign_ups import SignUps

log = structlog.get_logger(__name__)


class PostgresUnit(SignUps, Confirmations, Sessions):
    """Every Protocol of `domain.ports`, on Django's ORM and SQL."""


@contextmanager
def unit_of_work() -> Iterator[PostgresUnit]:
    """One transaction on Postgres.

    Raises `Unavailable` when Postgres is away, or answers too late: nothing was promised then,
    and the client may try again.
    """
    try:
        with transaction.atomic():
            yield PostgresUnit()
    except (OperationalError, InterfaceError) as error:
        log.warning("postgres_unavailable", error=type(error.__cause__ or error).__name__)
        raise Unavailable(retry_after=2) from None
