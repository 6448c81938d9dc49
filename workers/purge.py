"""Deletes expired rows and unverified people."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from itertools import chain
from time import monotonic

import structlog
from django.db import Error

from domain.metrics.registry import PURGE_ERRORS, PURGED_ROWS
from domain.model.errors import ServiceUnavailable
from domain.postgres import outbox, purge
from domain.projection import writer

log = structlog.get_logger(__name__)

_STEP_BUDGET = 30.0  # seconds; all steps together take less than the time until the next run

type _DeleteBatch = Callable[[datetime | None], tuple[int, datetime | None]]


def purge_expired() -> None:
    """Runs once, unless another process does, and logs how many rows were deleted.

    Each step goes on until nothing is left, for 30 seconds at most. One that fails is repeated by
    the next run, ten minutes later, and keeps no other from running.
    """
    steps: dict[str, _DeleteBatch] = {"people": _erase_unverified}
    for name, expiry in purge.get_expiries().items():
        steps[name] = partial(purge.delete_batch, expiry)
    counts: dict[str, int] = {}
    try:
        for name, delete_batch in steps.items():
            counts[name] = _run(name, delete_batch)
    except purge.PurgeInProgress:
        log.info("purge_in_progress")
    log.info("purge_completed", rows=counts)


def _run(name: str, delete_batch: _DeleteBatch) -> int:
    """Runs a step; returns how many rows were deleted. Raises `PurgeInProgress`."""
    deadline = monotonic() + _STEP_BUDGET
    total, since = 0, None
    try:
        while True:
            count, since = delete_batch(since)
            PURGED_ROWS.labels(name).inc(count)
            total += count
            if since is None or monotonic() > deadline:
                return total
    except Error as error:
        PURGE_ERRORS.labels(name).inc()
        error_type = type(error.__cause__ or error).__name__
        log.error("purge_step_failed", rows=name, error_type=error_type)
        return total


def _erase_unverified(since: datetime | None) -> tuple[int, datetime | None]:
    results, next_since = purge.erase_unverified(since)
    # At once if Redis is available; else the outbox entries complete it.
    with suppress(ServiceUnavailable):
        writer.project(*(result.person.id for result in results))
        outbox.complete_queued(list(chain.from_iterable(result.outbox_refs for result in results)))
    return len(results), next_since
