"""Supervision: a process that exits is restarted, with a message and a limit."""

import sys
import time
from collections.abc import Mapping
from typing import NoReturn

from local.processes import Process, StackError, wait_any

_MAX_RESTARTS = 5  # of one process
_RESTART_WINDOW = 60.0  # seconds
_BACKOFF = 0.1  # seconds before the first restart; doubles with each one


def supervise(services: Mapping[str, Process]) -> NoReturn:
    """Restarts each process that exits, and reports that on stderr.

    Raises `StackError` when a process has exited a sixth time within 60 seconds.
    """
    exits: dict[str, list[float]] = {name: [] for name in services}
    due: dict[str, float] = {}  # when to restart, by name
    while True:
        for name in [name for name, at in due.items() if at <= time.monotonic()]:
            del due[name]
            _start(services[name])
        for name, process in services.items():
            if name not in due and process.wait():
                due[name] = time.monotonic() + _record_exit(process, exits[name])
        running = [process for process in services.values() if process.is_running]
        wait_any(running, min(due.values()) - time.monotonic() if due else None)


def _print(text: str) -> None:
    print(f"rollcall: {text}", file=sys.stderr, flush=True)


def _start(process: Process) -> None:
    try:
        process.start()
    except StackError as error:  # a server that did not start: counts as an exit
        _print(str(error))


def _record_exit(process: Process, exits: list[float]) -> float:
    """Records and reports an exit; returns the seconds before the restart."""
    now = time.monotonic()
    exits[:] = [at for at in exits if at > now - _RESTART_WINDOW] + [now]
    if len(exits) > _MAX_RESTARTS:
        raise StackError(
            f"{process.name} exited again (status {process.status}) after {_MAX_RESTARTS} restarts"
            f" within {_RESTART_WINDOW:g} s; giving up. Its log:\n{process.log_tail()}"
        )
    restart_note = f"restart {len(exits)} of at most {_MAX_RESTARTS} in {_RESTART_WINDOW:g} s"
    _print(f"{process.name} exited, status {process.status}; {restart_note}")
    return _BACKOFF * 2.0 ** (len(exits) - 1)
