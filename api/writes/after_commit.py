"""After a commit: projects the profile to Redis and enqueues the outbox entries."""

from contextlib import suppress
from datetime import datetime

from domain.commands.ports import CommandResult
from domain.model.errors import ServiceUnavailable
from domain.model.person import Person, Tombstone
from domain.projection import writer
from workers import queue


def project_and_enqueue(
    committed: CommandResult[Person], *, signed_up_at: datetime | None = None
) -> None:
    """Writes the profile to Redis, so that the client reads its own write, and enqueues the outbox
    entries. Both are best effort: the entries stay unfinished until a worker has completed them.

    Sleeps for the client caches' maximum staleness, unless the person is new, at
    `signed_up_at`: none is cached.
    """
    # Logged where it failed; the outbox entry repeats the write.
    with suppress(ServiceUnavailable):
        writer.write_profile(committed.person, signed_up_at)
    queue.enqueue(committed.outbox_refs)
    if signed_up_at is None:
        writer.sleep_max_staleness()


def project_revocation(committed: CommandResult[Person] | CommandResult[Tombstone]) -> None:
    """Writes a revocation to Redis; returns once no reader accepts the sessions.

    Raises `ServiceUnavailable` while Redis is unavailable: the outbox entry completes it.
    """
    try:
        writer.write_profile(committed.person)
    finally:
        queue.enqueue(committed.outbox_refs)
    writer.sleep_max_staleness()
