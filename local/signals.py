"""Signals of a process and its children: deferred, and one when the parent dies."""

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_PR_SET_PDEATHSIG = 1
# Loaded at import: it is called between fork and exec, where loading libraries is not safe.
_LIBC = ctypes.CDLL(None, use_errno=True)
_ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


@contextmanager
def signals_deferred() -> Iterator[set[int]]:
    """Defers SIGINT, SIGTERM and SIGHUP to the end of the block; yields the mask of before.

    Python ignores what a signal handler raises within a callback, as those of a fork, an import
    and the garbage collector are: a Ctrl-C would be lost.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield {int(each) for each in mask}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def set_parent_death_signal(parent_pid: int, signum: signal.Signals) -> None:
    """Has the kernel send `signum` to this process when its parent, `parent_pid`, dies.

    The kernel watches the *thread* that created this process: parents create children from the main
    thread. Raises `OSError` if the kernel refuses. Exits if the parent has died already.
    """
    if _LIBC.prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) was refused")
    if os.getppid() != parent_pid:  # the parent died before prctl: no signal will be sent
        os._exit(1)


def prepare_child(parent_pid: int, signum: signal.Signals, mask: set[int]) -> None:
    """For a new process before it executes its program: sends it `signum` when its parent dies,
    and gives it a signal mask, such as `signals_deferred` yields.
    """
    set_parent_death_signal(parent_pid, signum)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
