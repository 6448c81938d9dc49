"""Faults of processes: suspended, and killed with their children."""

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from local.processes import Process, StackError, wait_any


def child_pids(parent: int) -> list[int]:
    """Returns the pids of all living children of a process."""
    pids = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, ppid = stat.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has exited
        if int(ppid) == parent and state != "Z":
            pids.append(int(stat.parent.name))
    return pids


def suspend(process: Process) -> None:
    """Suspends a process and its children (SIGSTOP): they keep connections and do not respond.

    Returns when they are suspended: on a busy machine a thread may run on for a while. Raises
    `StackError` after 10 s.
    """
    _send_to_all(process, signal.SIGSTOP)
    deadline = time.monotonic() + 10
    while not all(map(_is_suspended, [process.pid, *child_pids(process.pid)])):
        if time.monotonic() > deadline:
            raise StackError(f"{process.name} is not suspended")
        time.sleep(0.001)  # there is nothing to await: only a parent is notified


def resume(process: Process) -> None:
    """Resumes a process and its children after `suspend()`."""
    if process.is_running:
        _send_to_all(process, signal.SIGCONT)


@contextmanager
def suspended(process: Process) -> Iterator[None]:
    """Suspends a process and its children until the end of the block."""
    suspend(process)
    try:
        yield
    finally:
        resume(process)


def kill(process: Process) -> None:
    """Kills a process and its children with SIGKILL, and waits for their exit.

    Raises `StackError` after 10 s.
    """
    suspend(process)  # so that it starts no others
    children = [os.pidfd_open(pid) for pid in child_pids(process.pid)]
    for pidfd in children:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    process.kill()
    for pidfd in children:
        if not wait_any([pidfd], timeout=10):
            raise StackError(f"a child of {process.name} does not exit after SIGKILL")
        os.close(pidfd)


def kill_child(process: Process, number: int) -> None:
    """Kills one child of a process with SIGKILL; `number` chooses which."""
    if pids := child_pids(process.pid):
        with suppress(ProcessLookupError):  # it has exited
            os.kill(pids[number % len(pids)], signal.SIGKILL)


def stutter(process: Process, seconds: float) -> None:
    """Suspends one of a process' children (itself, if it has none) after another, each for up to an
    eighth of a second, as a busy machine does.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pid = random.choice(child_pids(process.pid) or [process.pid])
        with suppress(ProcessLookupError):  # it has exited
            os.kill(pid, signal.SIGSTOP)
            time.sleep(random.uniform(0.03, 0.12))  # the fault itself
            os.kill(pid, signal.SIGCONT)
        time.sleep(random.uniform(0.0, 0.03))  # the pause between two of them


def _is_suspended(pid: int) -> bool:
    """Returns whether all threads of a process are suspended, or have exited."""
    try:
        states = [
            stat.read_text().rpartition(")")[2].split()[0]
            for stat in Path(f"/proc/{pid}/task").glob("*/stat")
        ]
    except (FileNotFoundError, ProcessLookupError):
        return False  # a thread has just exited
    return set(states) <= {"T", "t", "Z", "X"}


def _send_to_all(process: Process, signum: signal.Signals) -> None:
    """Sends a signal to a process first, and then to its children."""
    process.send(signum)
    for pid in child_pids(process.pid):
        with suppress(ProcessLookupError):  # it has exited
            os.kill(pid, signum)
