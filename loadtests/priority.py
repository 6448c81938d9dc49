"""The CPU priority of the generators.

With six busy processes, a generator with a nice value of -5 was woken 3.7 ms late (p99), one with
real-time priority 0.1 ms: without the latter its own lag would be measured.

Where the kernel groups processes by session (autogroup), a nice value counts only within a session:
the group's value is set too.
"""

import os
from pathlib import Path

_AUTOGROUP = Path("/proc/self/autogroup")
_RAISED_NICE, _LOWERED_NICE = -5, 10


def raise_priority() -> str:
    """Raises the priority of this process; returns what the kernel granted."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        return _raise_nice_value()
    return "real-time priority (SCHED_FIFO)"


def lower_priority() -> None:
    """Lowers the priority of this process, as `make run` does with its workers."""
    os.nice(_LOWERED_NICE)
    _set_autogroup(_LOWERED_NICE)


def _raise_nice_value() -> str:
    try:
        os.setpriority(os.PRIO_PROCESS, 0, _RAISED_NICE)
        _set_autogroup(_RAISED_NICE)
    except PermissionError:
        return "no raised priority (no permission: its own late wake-ups count as the server's)"
    return f"a nice value of {_RAISED_NICE}"


def _set_autogroup(nice: int) -> None:
    if _AUTOGROUP.exists():
        _AUTOGROUP.write_text(str(nice))
