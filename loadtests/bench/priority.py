"""The CPU priority of the generators: which of them the kernel runs first on a busy machine.

Where the kernel groups processes by session (autogroup), a nice value counts only inside of a
session: the group's own is set too.
"""

import os
from pathlib import Path

_AUTOGROUP = Path("/proc/self/autogroup")
_RAISED, _LOWERED = -5, 10


def raise_priority() -> str:
    """Has the kernel run this process before others; returns what it granted."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        return _raise_nice_value()
    return "real-time priority (SCHED_FIFO)"


def lower_priority() -> None:
    """Has this process give way to others, as `make run` does with its workers."""
    os.nice(_LOWERED)
    _set_autogroup(_LOWERED)


def _raise_nice_value() -> str:
    try:
        os.setpriority(os.PRIO_PROCESS, 0, _RAISED)
        _set_autogroup(_RAISED)
    except PermissionError:
        return "no raised priority (no permission: its own late wake-ups count as the server's)"
    return f"a nice value of {_RAISED}"


def _set_autogroup(nice: int) -> None:
    if _AUTOGROUP.exists():
        _AUTOGROUP.write_text(str(nice))
