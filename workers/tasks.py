"""Huey's tasks, and the mapping of their errors to outcomes.

There is a task for each kind of outbox entry, so that the dashboard says what is done; its argument
is the entry's id. A task raises only Rollcall's own errors, whose text is a code: the dashboard and
the log record what a task raises.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic
from typing import NamedTuple

import structlog
from django.core.checks import run_checks
from huey import crontab
from huey.contrib.djhuey import db_periodic_task, db_task, on_startup

from domain.model.errors import QuotaExceeded, RollcallError
from domain.postgres import outbox
from domain.postgres.errors import translate_database_errors
from domain.postgres.models import OutboxEntry
from domain.postgres.outbox import LeasedEntry, Outcome
from domain.projection import writer
from workers import purge, tracing
from workers.handlers import address_change, confirmation, sign_in
from workers.messages.checks import TAG
from workers.providers.base import PermanentFailure, TemporaryFailure

log = structlog.get_logger(__name__)


def _is_unexpected(record: logging.LogRecord) -> bool:
    """Returns whether a record of Huey's is to be logged. That of a failed attempt, with its stack,
    is not: dashboard and metrics have it, and what ends a message is logged here.
    """
    return not (record.exc_info and isinstance(record.exc_info[1], RollcallError))


logging.getLogger("huey").addFilter(_is_unexpected)


@on_startup("tracing")
def start_tracing() -> None:
    """Called by Huey in each of a worker's threads."""
    tracing.start("rollcall-worker")


_checked_messages = Lock()  # acquired once and for all: a worker has many threads


@on_startup("messages")
def report_messages() -> None:
    """Logs what is wrong with templates and settings of messages."""
    if _checked_messages.acquire(blocking=False):
        for found in run_checks(tags=[TAG], include_deployment_checks=True):
            level = "error" if found.is_serious() else "warning"
            getattr(log, level)("message_check", id=found.id, message=found.msg)


class TaskFailed(RollcallError):
    """A task raised an unexpected error; the log has its type and stack."""

    code = "task_failed"


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


def execute(entry: LeasedEntry) -> RollcallError | None:
    """Executes a claimed entry, and records the outcome last, unless its handler postponed it.

    Returns the error of a failed attempt; a message that waits for a quota is none.
    """
    try:
        outcome = _WORK[entry.kind].handler(entry)
    except (PermanentFailure, QuotaExceeded) as error:
        retry_after = error.retry_after if isinstance(error, QuotaExceeded) else None
        if retry_after is not None:
            outbox.postpone(entry, error.code, retry_after)
            return None
        log.error("message_send_failed", outbox_id=entry.id, reason=error.code)
        outbox.complete(entry, Outcome(OutboxEntry.State.FAILED, error.code))
        return error
    except TemporaryFailure as error:
        outbox.reschedule(entry, error.code, error.retry_after)
        return error
    except RollcallError as error:
        outbox.reschedule(entry, error.code)
        return error
    except Exception:
        # Not hidden: the entry is rescheduled with a reason, and the task fails.
        outbox.reschedule(entry, TaskFailed.code)
        raise
    if outcome is not None:
        outbox.complete(entry, outcome)
    return None


def _refresh_profile(entry: LeasedEntry) -> Outcome:
    if entry.person_id is not None:
        writer.project(entry.person_id)
    return Outcome(OutboxEntry.State.DONE)


class _Work(NamedTuple):
    task_name: str  # in the dashboard
    handler: Callable[[LeasedEntry], Outcome | None]


_Kind = OutboxEntry.Kind
_WORK: dict[str, _Work] = {
    _Kind.PROJECT_PROFILE: _Work("refresh_profile", _refresh_profile),
    _Kind.CONFIRMATION: _Work("send_confirmation", confirmation.send),
    _Kind.ADDRESS_CHANGE_NOTICE: _Work(
        "send_address_change_notice", address_change.send_to_replaced
    ),
    _Kind.OTHER_CHANNEL_NOTICE: _Work(
        "send_other_channel_notice", address_change.send_to_other_channel
    ),
    _Kind.SIGN_IN_CODE: _Work("send_sign_in_code", sign_in.send),
}


def _process(outbox_id: int) -> None:
    """Executes an outbox entry, if it is queued."""
    with _mask_unexpected_errors():
        entry = outbox.claim(outbox_id)
        if entry is not None:
            with _trace(entry):
                if (error := execute(entry)) is not None:
                    raise error


@contextmanager
def _trace(entry: LeasedEntry) -> Iterator[None]:
    """Runs the block in a span, after that of the time since the request, or the attempt before."""
    attempt: tracing.Attributes = {"rollcall.attempt": entry.attempts}
    age = monotonic() - entry.created_at
    waited = tracing.record_wait("outbox", entry.traceparent, age, attempt)
    with tracing.span(_WORK[entry.kind].task_name, "CONSUMER", waited, attributes=attempt):
        yield


TASKS = {kind: db_task(name=work.task_name)(_process) for kind, work in _WORK.items()}
