"""The machine: kernel, user, limits."""

from __future__ import annotations

import ctypes
import locale
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

from local.doctor import OK, WRONG, Finding

_PROC = Path("/proc/self/stat")
_PR_GET_PDEATHSIG = 2
_PIDFD_OPEN = 434  # the number of this system call, on x86-64 and arm64 alike
_MIN_OPEN_FILES = 1024


def check_system() -> Finding:
    """Linux: `local/` uses pidfds, prctl and /proc."""
    name = f"{platform.system()} {platform.release()}, {platform.machine()}"
    if sys.platform == "linux":
        return Finding("system", OK, name)
    remedy = "make run and make test need Linux: a virtual machine, a container, or WSL 2"
    return Finding("system", WRONG, name, f"{remedy}; make check works here")


def check_kernel() -> Finding:
    """What child processes are watched and ended with."""
    missing = [] if _PROC.exists() else ["/proc"]
    libc = ctypes.CDLL(None)
    signum = ctypes.c_int()
    if not hasattr(libc, "prctl") or libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(signum), 0, 0, 0):
        missing.append("prctl(PR_SET_PDEATHSIG)")
    pidfd = libc.syscall(_PIDFD_OPEN, os.getpid(), 0) if sys.platform == "linux" else -1
    if pidfd < 0:
        missing.append("pidfd_open")
    else:
        os.close(pidfd)
    if not missing:
        return Finding("kernel", OK, "/proc, prctl and pidfd_open")
    remedy = "Linux from 5.3 on, with /proc mounted, and no sandbox that refuses these calls"
    return Finding("kernel", WRONG, f"without {', '.join(missing)}", remedy)


def check_user() -> Finding:
    """PostgreSQL refuses to run as root; local/postgres.py gives it another user."""
    if os.geteuid() != 0:
        return Finding("user", OK, f"not root (uid {os.geteuid()})")
    argv = ["unshare", "--map-user=1000", "--map-group=1000", "true"]
    try:
        subprocess.run(argv, check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        result = "root, and `unshare` cannot give PostgreSQL another user"
        remedy = "run as another user (su - NAME), install util-linux, or set DATABASE_URL"
        return Finding("user", WRONG, result, remedy)
    return Finding("user", OK, "root; PostgreSQL gets a user namespace")


def check_locale() -> Finding:
    """Files and terminal in UTF-8."""
    named = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG") or "C"
    remedy = "export LC_ALL=C.UTF-8"
    try:
        locale.setlocale(locale.LC_ALL, "")
    except locale.Error:
        return Finding("locale", WRONG, f"{named} is not installed", remedy)
    encoding = locale.getpreferredencoding(False)
    if encoding.upper().replace("-", "") != "UTF8":
        return Finding("locale", WRONG, f"{named}: the encoding is {encoding}", remedy)
    return Finding("locale", OK, named)


def check_open_files() -> Finding:
    """Each connection is an open file; read processes raise the soft limit to the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if min(soft, hard) >= _MIN_OPEN_FILES:
        return Finding("open files", OK, f"{soft}, at most {hard}")
    remedy = f"ulimit -n {_MIN_OPEN_FILES}"
    if hard < _MIN_OPEN_FILES:
        remedy = f"raise nofile to {_MIN_OPEN_FILES} in /etc/security/limits.conf, log in again"
    return Finding("open files", WRONG, f"{soft}, at most {hard}", remedy)
