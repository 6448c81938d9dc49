"""What processes use, as the kernel counts it: CPU time and memory."""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from local.machine import child_pids

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Memory:
    """The memory of a process in MB, as /proc/PID/smaps_rollup has it.

    `rss`: all resident pages, as ps and top show them. `pss`: pages that n processes share count
    1/n. `uss`: only pages that no other process shares.
    """

    rss: float
    pss: float
    uss: float


def process_tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    return [pid, *(below for child in child_pids(pid) for below in process_tree(child))]


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time that processes have used until now: all threads, user and system, to the ns.

    Raises OSError for a process that has ended.
    """
    return sum(time.clock_gettime(_cpu_clock(pid)) for pid in pids)


def memory(pid: int) -> Memory:
    """What a process has in memory now. Raises OSError if it has ended."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kb = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    private = kb["Private_Clean"] + kb["Private_Dirty"]
    return Memory(kb["Rss"] / 1000, kb["Pss"] / 1000, private / 1000)


def memory_mb(pids: Iterable[int]) -> float:
    """The Pss of processes together, in MB."""
    return sum(memory(pid).pss for pid in pids)


def busy_seconds() -> float:
    """CPU time that this machine has used until now, all of its processes together."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq = map(int, fields[:7])
    return (user + nice + system + irq + softirq) / _TICK


def _cpu_clock(pid: int) -> int:
    """The id of a process's CPU clock, as clock_getcpuclockid(3) of the C library makes it."""
    return (~pid << 3) | 2
