"""Deletes expired rows and unverified people."""

from contextlib import suppress

import structlog

from domain.commands import accounts
from domain.model.errors import ServiceUnavailable
from domain.postgres import purge
from domain.postgres.unit_of_work import unit_of_work
from domain.projection import writer

log = structlog.get_logger(__name__)

_BATCH_SIZE = 1_000  # people that are erased in one run


def purge_expired() -> None:
    """Runs once, and logs how many rows were deleted by table."""
    tables = {"people": _erase_unverified()} | purge.delete_expired()
    log.info("purge_completed", tables=tables)


def _erase_unverified() -> int:
    """Erases people who never verified an address: it may be another person's."""
    count = 0
    for person_id in purge.find_unverified(_BATCH_SIZE):
        result = accounts.erase_person(person_id, unit_of_work, only_if_unverified=True)
        if result is not None:
            # At once if Redis is available; else the outbox entry completes it.
            with suppress(ServiceUnavailable):
                writer.write_profile(result.person)
            count += 1
    return count
