"""Dying with the parent: the one guarantee that holds even when the parent is killed with -9."""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
# Loaded here and not in the function: that one runs between fork and exec, where importing and
# loading libraries is not safe.
_LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent_pid: int, with_signal: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send this process `with_signal` as soon as its parent is gone.

    Goes in: the pid the parent had when it created this process. The kernel watches the *thread*
    that did so, so parents create their children from the main thread.
    Raises OSError if the kernel refuses. Does not return if the parent is gone already.
    """
    if _LIBC.prctl(_PR_SET_PDEATHSIG, int(with_signal), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) was refused")
    if os.getppid() != parent_pid:  # it died before the line above: no signal will ever come
        os._exit(1)
