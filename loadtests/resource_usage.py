"""CPU time and memory of processes, from the kernel."""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Memory:
    """The memory of a process in MB, from /proc/PID/smaps_rollup.

    `rss`: all resident pages, as in ps and top. `pss`: pages shared by n processes count 1/n.
    `uss`: only unshared pages.
    """

    rss: float
    pss: float
    uss: float


def process_tree(pid: int) -> list[int]:
    """Returns the pids of a process and its descendants."""
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def cpu_seconds(pids: Iterable[int]) -> float:
    """Returns the CPU time of processes, all threads, user and system, precise to the ns.

    Raises `OSError` for a process that has exited.
    """
    return sum(time.clock_gettime(_cpu_clock(pid)) for pid in pids)


def memory(pid: int) -> Memory:
    """Returns the memory of a process. Raises `OSError` if it has exited."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kb = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    private = kb["Private_Clean"] + kb["Private_Dirty"]
    return Memory(kb["Rss"] / 1000, kb["Pss"] / 1000, private / 1000)


def memory_mb(pids: Iterable[int]) -> float:
    """Returns the Pss of processes together, in MB."""
    return sum(memory(pid).pss for pid in pids)


def busy_seconds() -> float:
    """Returns the CPU time of all processes of this machine."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq = map(int, fields[:7])
    return (user + nice + system + irq + softirq) / _TICK


def _cpu_clock(pid: int) -> int:
    """Returns the id of a process's CPU clock, like clock_getcpuclockid(3)."""
    return (~pid << 3) | 2
