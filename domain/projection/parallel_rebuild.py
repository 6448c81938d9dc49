"""A rebuild by several processes: each writes the profiles of one range of ids after the other.

The interpreter of one process is its bottleneck: Postgres and Redis need a third of its time each.
"""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait
from multiprocessing.synchronize import Event
from threading import Thread
from uuid import UUID

from domain.projection.people_pages import MAX_ID
from domain.projection.rebuild import RebuiltPage, rebuild

_RANGES = 64  # after each the command can be resumed

_stop: Event  # of this process: set when the rebuild is to stop


def rebuild_in_parallel(after: UUID, processes: int) -> Iterator[RebuiltPage]:
    """Does what `rebuild` does in so many processes; yields a range of ids as a page, in order.

    Closed early, it waits for the pages that are being written. Raises as `rebuild` does, and
    `BrokenProcessPool` if a process is killed. The caller has no other threads yet, and no
    connections: the processes are forked.
    """
    step = (MAX_ID.int - after.int) // _RANGES
    bounds = [UUID(int=after.int + step * n) for n in range(_RANGES)] + [MAX_ID]
    context = multiprocessing.get_context("fork")
    stop = context.Event()
    with ProcessPoolExecutor(processes, context, _set_up, (stop,)) as executor:
        try:
            yield from executor.map(_rebuild_range, bounds[:-1], bounds[1:])
        finally:
            stop.set()
            executor.shutdown(cancel_futures=True)


def _set_up(stop: Event) -> None:
    """Prepares a process: it exits with its parent, which alone handles signals."""
    global _stop
    _stop = stop
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        wait([parent.sentinel])
        os._exit(1)


def _rebuild_range(after: UUID, last: UUID) -> RebuiltPage:
    """Rebuilds the ids above `after` up to `last`; returns how many."""
    people_count = written_count = 0
    for page in rebuild(after, last):
        people_count += page.people_count
        written_count += page.written_count
        if _stop.is_set():
            break
    return RebuiltPage(last, people_count, written_count)
