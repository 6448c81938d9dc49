"""What Huey runs. A task raises nothing but our own errors, whose text is a code word: the
dashboard and the log keep what a task raises.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from huey import crontab
from huey.contrib.djhuey import db_periodic_task, db_task

from domain.errors import OverBudget, RollcallError
from domain.stores import outbox, profiles
from domain.stores.models import Outbox
from domain.stores.outbox import End, Job
from domain.stores.postgres.errors import translate_database_errors
from workers import change_notice, confirmation, purge, sign_in
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


@db_periodic_task(crontab(minute="*/10"), name="purge")
def purge_all() -> None:
    """Delete what has served its time."""
    with _our_errors_only():
        purge.run()


@contextmanager
def _our_errors_only() -> Iterator[None]:
    """Let our own errors through; log any other, and raise one of ours in its place."""
    try:
        with translate_database_errors():
            yield
    except RollcallError:
        raise
    except Exception:
        log.exception("task_failed")
        raise TaskFailed from None


def carry_out(job: Job) -> None:
    """Work on a claimed row, and write down how it went, last of all."""
    try:
        end = _HANDLERS[job.kind](job)
    except TryAgain as error:
        outbox.retry_later(job, error.code, error.retry_after)
    except OverBudget as error:
        if error.retry_after is not None:
            outbox.retry_later(job, error.code, error.retry_after)
        else:
            _fail(job, error)
    except Refused as error:
        _fail(job, error)
    except RollcallError as error:
        outbox.retry_later(job, error.code)
    except Exception:
        # Not hidden: the row goes back with its reason, and the task fails.
        outbox.retry_later(job, TaskFailed.code)
        raise
    else:
        outbox.finish(job, end)


def _fail(job: Job, error: RollcallError) -> None:
    log.error("message_failed", outbox_id=job.id, reason=error.code)
    outbox.finish(job, End(Outbox.State.FAILED, error.code))


def _write_profile(job: Job) -> End:
    if job.person_id is not None:
        profiles.refresh(job.person_id)
    return End(Outbox.State.DONE)


_HANDLERS: dict[str, Callable[[Job], End]] = {
    Outbox.Kind.PROFILE: _write_profile,
    Outbox.Kind.CONFIRMATION: confirmation.send,
    Outbox.Kind.CHANGE_NOTICE: change_notice.send,
    Outbox.Kind.SIGN_IN: sign_in.send,
}
