"""What Huey runs. A task raises nothing but our own errors, whose text is a code word: the
dashboard and the log keep what a task raises.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError
from huey import crontab
from huey.contrib.djhuey import db_periodic_task, db_task

from domain.errors import RollcallError, Unavailable
from domain.stores import outbox, profiles
from domain.stores.models import Outbox
from workers import confirmation
from workers.delivery import Refused, TryAgain

log = structlog.get_logger(__name__)


class TaskFailed(RollcallError):
    """A task met an error that nobody foresaw; the log has its kind and its lines."""

    code = "task_failed"


@db_task(name="work")
def work(outbox_id: int) -> None:
    """Do what an outbox row asks for, if it is still asked for and nobody else is at it."""
    with _our_errors_only():
        job = outbox.claim(outbox_id)
        if job is not None:
            carry_out(job)


@db_task(name="refresh")
def refresh(person_id: str) -> None:
    """Rewrite the profile of a person (32 hex digits) whose reader waits for it."""
    with _our_errors_only():
        profiles.refresh(UUID(hex=person_id))


@db_periodic_task(crontab(minute="*/10"), name="purge")
def purge() -> None:
    """Delete outbox rows that were closed long ago."""
    with _our_errors_only():
        log.info("outbox_purged", rows=outbox.purge(settings.OUTBOX_KEPT))


@contextmanager
def _our_errors_only() -> Iterator[None]:
    """Let our own errors through; log any other, and raise one of ours in its place."""
    try:
        yield
    except RollcallError:
        raise
    except (OperationalError, InterfaceError):
        raise Unavailable from None
    except Exception:
        log.exception("task_failed")
        raise TaskFailed from None


def carry_out(job: outbox.Job) -> None:
    """Work on a claimed row, and write down how it went, last of all."""
    try:
        end = _HANDLERS[job.kind](job)
    except TryAgain as error:
        outbox.retry_later(job, error.code, error.retry_after)
    except Refused as error:
        log.error("message_failed", outbox_id=job.id, reason=error.code)
        outbox.finish(job, Outbox.State.FAILED, error.code)
    except RollcallError as error:
        outbox.retry_later(job, error.code)
    except Exception:
        # Not hidden: the row goes back with its reason, and the task fails.
        outbox.retry_later(job, TaskFailed.code)
        raise
    else:
        outbox.finish(job, end.state, end.reason, end.provider_id)


def _write_profile(job: outbox.Job) -> confirmation.End:
    profiles.refresh(job.person_id)
    return confirmation.End(Outbox.State.DONE)


_HANDLERS: dict[str, Callable[[outbox.Job], confirmation.End]] = {
    Outbox.Kind.PROFILE: _write_profile,
    Outbox.Kind.CONFIRMATION: confirmation.send,
}
