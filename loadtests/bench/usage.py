"""What processes use, as the kernel counts it: CPU time and memory."""

import os
from collections.abc import Iterable
from pathlib import Path

from local.machine import children

_TICK = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    return [pid, *(below for child in children(pid) for below in tree(child))]


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time that processes have used until now, all threads, user and system together.

    Counted in hundredths of a second.
    """
    return sum(_ticks(pid) for pid in pids) / _TICK


def memory_mb(pids: Iterable[int]) -> float:
    """Resident memory in MB. What processes share (code, pages from before a fork) is divided
    among them.
    """
    return sum(_proportional_kb(pid) for pid in pids) / 1000


def busy_seconds() -> float:
    """CPU time that this machine has used until now, all of its processes together."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq = map(int, fields[:7])
    return (user + nice + system + irq + softirq) / _TICK


def _ticks(pid: int) -> int:
    # After the name, which may hold anything: state is field 3, utime 14 and stime 15 (proc(5)).
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _proportional_kb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0.0  # a process that ended, and has no memory any more
