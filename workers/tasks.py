"""Huey's tasks, and the mapping of their errors to outcomes.

A task raises only Rollcall's own errors, whose text is a code: the dashboard and the log record
what a task raises.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from huey import crontab
from huey.contrib.djhuey import db_periodic_task, db_task

from domain.model.errors import QuotaExceeded, RollcallError
from domain.postgres import outbox
from domain.postgres.errors import translate_database_errors
from domain.postgres.models import OutboxEntry
from domain.postgres.outbox import LeasedEntry, Outcome
from domain.projection import writer
from workers import purge
from workers.handlers import address_change, confirmation, sign_in
from workers.providers.base import PermanentFailure, TemporaryFailure

log = structlog.get_logger(__name__)


class TaskFailed(RollcallError):
    """A task raised an unexpected error; the log has its type and stack."""

    code = "task_failed"


@db_task(name="process_outbox_entry")
def process_outbox_entry(outbox_id: int) -> None:
    """Executes an outbox entry, if it is queued."""
    with _mask_unexpected_errors():
        entry = outbox.claim(outbox_id)
        if entry is not None:
            execute(entry)


@db_periodic_task(crontab(minute="*/10"), name="purge_expired")
def purge_expired() -> None:
    """Deletes expired data."""
    with _mask_unexpected_errors():
        purge.purge_expired()


@contextmanager
def _mask_unexpected_errors() -> Iterator[None]:
    """Passes Rollcall's own errors; logs any other, and raises `TaskFailed` in its place."""
    try:
        with translate_database_errors():
            yield
    except RollcallError:
        raise
    except Exception:
        log.exception("task_failed")
        raise TaskFailed from None


def execute(entry: LeasedEntry) -> None:
    """Executes a claimed entry, and records the outcome last, unless its handler postponed it."""
    try:
        outcome = _HANDLERS[entry.kind](entry)
    except (PermanentFailure, QuotaExceeded) as error:
        retry_after = error.retry_after if isinstance(error, QuotaExceeded) else None
        if retry_after is not None:
            outbox.postpone(entry, error.code, retry_after)
        else:
            log.error("message_send_failed", outbox_id=entry.id, reason=error.code)
            outbox.complete(entry, Outcome(OutboxEntry.State.FAILED, error.code))
    except TemporaryFailure as error:
        outbox.reschedule(entry, error.code, error.retry_after)
    except RollcallError as error:
        outbox.reschedule(entry, error.code)
    except Exception:
        # Not hidden: the entry is rescheduled with a reason, and the task fails.
        outbox.reschedule(entry, TaskFailed.code)
        raise
    else:
        if outcome is not None:
            outbox.complete(entry, outcome)


def _project_profile(entry: LeasedEntry) -> Outcome:
    if entry.person_id is not None:
        writer.project(entry.person_id)
    return Outcome(OutboxEntry.State.DONE)


_HANDLERS: dict[str, Callable[[LeasedEntry], Outcome | None]] = {
    OutboxEntry.Kind.PROJECT_PROFILE: _project_profile,
    OutboxEntry.Kind.CONFIRMATION: confirmation.send,
    OutboxEntry.Kind.ADDRESS_CHANGE_NOTICE: address_change.send_to_replaced,
    OutboxEntry.Kind.OTHER_CHANNEL_NOTICE: address_change.send_to_other_channel,
    OutboxEntry.Kind.SIGN_IN_CODE: sign_in.send,
}
