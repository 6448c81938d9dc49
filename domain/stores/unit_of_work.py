"""The units of work on Postgres: one transaction each, begun and ended here and nowhere else."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from domain.stores.postgres.errors import translate_database_errors
from domain.stores.units.confirmations import ConfirmationRepository
from domain.stores.units.sessions import SessionRepository
from domain.stores.units.sign_ups import SignUpRepository


class PostgresUnitOfWork(SignUpRepository, ConfirmationRepository, SessionRepository):
    """Every Protocol of `domain.ports`, on Django's ORM and SQL."""


@contextmanager
def unit_of_work() -> Iterator[PostgresUnitOfWork]:
    """One transaction on Postgres.

    Raises `Unavailable` when Postgres is unavailable: the client has been promised nothing then,
    and may retry.
    """
    with translate_database_errors(), transaction.atomic():
        yield PostgresUnitOfWork()


@contextmanager
def autocommit_unit_of_work() -> Iterator[SignUpRepository]:
    """As `unit_of_work`, for a sign-up alone: it is one statement, which Postgres makes a
    transaction by itself. BEGIN and COMMIT would be two more round trips.
    """
    with translate_database_errors():
        yield SignUpRepository()
