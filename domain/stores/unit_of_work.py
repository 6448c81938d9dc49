"""The units of work on Postgres: one transaction each, begun and ended here and nowhere else."""

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
    with _or_unavailable(), transaction.atomic():
        yield PostgresUnit()


@contextmanager
def one_statement() -> Iterator[SignUps]:
    """As `unit_of_work`, for a sign-up alone: it is one statement, which Postgres makes a
    transaction by itself. BEGIN and COMMIT would be two more round trips.
    """
    with _or_unavailable():
        yield SignUps()


@contextmanager
def _or_unavailable() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        log.warning("postgres_unavailable", error=type(error.__cause__ or error).__name__)
        raise Unavailable(retry_after=2) from None
