"""The units of work on Postgres: transactions begin and end here alone."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from domain.postgres.errors import translate_database_errors
from domain.postgres.repositories.confirmations import ConfirmationRepository
from domain.postgres.repositories.sessions import SessionRepository
from domain.postgres.repositories.sign_ups import SignUpRepository


class PostgresUnitOfWork(SignUpRepository, ConfirmationRepository, SessionRepository):
    """Implements `domain.commands.ports.UnitOfWork` on Django's ORM and SQL."""


@contextmanager
def unit_of_work() -> Iterator[PostgresUnitOfWork]:
    """Runs one transaction on Postgres.

    Raises `ServiceUnavailable` when Postgres is unavailable: nothing was committed, and the client
    may retry.
    """
    with translate_database_errors(), transaction.atomic():
        yield PostgresUnitOfWork()


@contextmanager
def autocommit_unit_of_work() -> Iterator[PostgresUnitOfWork]:
    """As `unit_of_work`, for a sign-up alone: a single statement is its own transaction. BEGIN and
    COMMIT would be two more round trips.
    """
    with translate_database_errors():
        yield PostgresUnitOfWork()
