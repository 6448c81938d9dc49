"""Folders, free space, the port, and what an earlier run has left."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
import tempfile
from pathlib import Path

from local.doctor import NOTE, OK, WRONG, Finding, Target, nearest_existing

_SERVERS = ("postgres", "profiles", "queue")
_MAX_SOCKET_PATH = 107  # bytes; unix(7)
_MIN_FREE = 300_000_000  # bytes: a new cluster of PostgreSQL, its WAL, logs
_VENV_BYTES = 700_000_000  # of a .venv that is still to be installed


def check_folders(target: Target) -> Finding:
    """The source tree (.venv, caches), the data and temporary files can be written."""
    path = target.data_dir / "write.sock"
    if len(os.fsencode(str(path))) > _MAX_SOCKET_PATH:
        remedy = f"a shorter one: DATA_DIR=/tmp/rollcall-{os.geteuid()} make run"
        return Finding("folders", WRONG, f"{path} is too long for a unix socket", remedy)
    remedies = {
        target.root: "clone into a folder of your own",
        target.data_dir: "another place: DATA_DIR=... make run",
        Path(tempfile.gettempdir()): "set TMPDIR",
    }
    for folder, remedy in remedies.items():
        existing = nearest_existing(folder)
        try:
            tempfile.TemporaryFile(dir=str(existing)).close()
        except OSError as error:
            result = f"{existing} cannot be written ({error.strerror})"
            return Finding("folders", WRONG, result, remedy)
    if target.data_dir.exists() and (owner := target.data_dir.stat().st_uid) != os.geteuid():
        result = f"{target.data_dir} belongs to uid {owner}: PostgreSQL refuses it"
        remedy = f"chown -R {os.geteuid()} {target.data_dir}, or another DATA_DIR"
        return Finding("folders", WRONG, result, remedy)
    return Finding("folders", OK, f"writable; data in {target.data_dir}")


def check_disk(target: Target) -> Finding:
    """Space for what is installed, and for data."""
    for folder, extra in ((target.root, _venv_bytes(target)), (target.data_dir, 0)):
        free = shutil.disk_usage(str(nearest_existing(folder))).free
        needed = _MIN_FREE + extra
        if free < needed:
            result = f"{free // 10**6:,} MB free for {folder}, {needed // 10**6:,} needed"
            return Finding("disk", WRONG, result, "free some space, or set DATA_DIR elsewhere")
    return Finding("disk", OK, f"{free // 10**9:,} GB free")


def _venv_bytes(target: Target) -> int:
    return 0 if (target.root / ".venv" / ".installed").exists() else _VENV_BYTES


def check_port(target: Target) -> Finding:
    """PORT can be listened on, or this folder's own `make run` does."""
    port = target.port
    if not (port.isdigit() and 0 < int(port) < 65536):
        return Finding("port", WRONG, f"PORT={port} is no port", "PORT=8000 make run")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(port)))
        except OSError as error:
            return _explain_port(target, int(port), str(error.strerror))
    return Finding("port", OK, f"{port} is free")


def _explain_port(target: Target, port: int, reason: str) -> Finding:
    if port < 1024 and os.geteuid() != 0:
        return Finding("port", WRONG, f"{port}: {reason}", "PORT=8000 make run")
    if is_running(target):
        return Finding("port", NOTE, f"{port} is taken while make run runs here")
    owners = _find_listeners(port)
    taken_by = " by " + ", ".join(owners) if owners else " by a process of another user"
    remedy = f"stop it, or choose another: PORT={port + 1} make run"
    return Finding("port", WRONG, f"{port} is taken{taken_by}", remedy)


def is_running(target: Target) -> bool:
    """Returns whether a `make run` with this DATA_DIR holds its lock."""
    try:
        with (target.data_dir / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def check_processes(target: Target) -> Finding:
    """No server of an earlier run is left: it would keep its port and its files."""
    if is_running(target):
        return Finding("processes", NOTE, "make run runs here")
    found = [process for process in _processes() if _is_left(process, target.data_dir)]
    if not found:
        return Finding("processes", OK, "none left of an earlier run")
    names = ", ".join(_describe(process) for process in found)
    pids = " ".join(process.name for process in found)
    return Finding("processes", WRONG, f"left of an earlier run: {names}", f"kill {pids}")


def _is_left(process: Path, data_dir: Path) -> bool:
    """Servers run in their own folder; Rollcall's processes have DATA_DIR in their environment."""
    cwd = _link(process / "cwd")
    if any(f"{cwd}/".startswith(f"{data_dir / name}/") for name in _SERVERS):
        return True
    return (
        f"DATA_DIR={data_dir}" in _text(process / "environ").split("\0")
        and re.search("gunicorn|manage.py", _text(process / "cmdline")) is not None
    )


def _processes() -> list[Path]:
    proc = Path("/proc")
    return [each for each in proc.iterdir() if each.name.isdigit()] if proc.exists() else []


def _find_listeners(port: int) -> list[str]:
    """Returns the processes that listen on a TCP port, as far as this user may see."""
    listening = "0A"
    inodes = {
        f"socket:[{fields[9]}]"
        for table in ("tcp", "tcp6")
        for fields in map(str.split, _text(Path("/proc/net", table)).splitlines()[1:])
        if fields[3] == listening and int(fields[1].rpartition(":")[2], 16) == port
    }
    return [
        _describe(process)
        for process in _processes()
        if any(_link(fd) in inodes for fd in _list(process / "fd"))
    ]


def _describe(process: Path) -> str:
    return f"{_text(process / 'comm').strip() or '?'} (pid {process.name})"


def _list(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # of another user, or it has exited
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _link(path: Path) -> str:
    try:
        return os.readlink(str(path))  # noqa: PTH115  # Path.readlink is of Python 3.9
    except OSError:
        return ""
