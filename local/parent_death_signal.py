"""Parent-death signals: a child exits even if its parent is killed with SIGKILL."""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
# Loaded at import: the function runs between fork and exec, where loading libraries is not safe.
_LIBC = ctypes.CDLL(None, use_errno=True)


def set_parent_death_signal(parent_pid: int, with_signal: signal.Signals = signal.SIGKILL) -> None:
    """Has the kernel send `with_signal` to this process when its parent dies.

    `parent_pid` is the pid of the parent when it created this process. The kernel watches the
    *thread* that did so: parents create children from the main thread. Raises `OSError` if the
    kernel refuses. Does not return if the parent has died already.
    """
    if _LIBC.prctl(_PR_SET_PDEATHSIG, int(with_signal), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) was refused")
    if os.getppid() != parent_pid:  # the parent died before prctl: no signal will be sent
        os._exit(1)
