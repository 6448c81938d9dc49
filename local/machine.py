"""TCP ports, secret files, binaries in wheels, and child processes of this machine."""

import contextlib
import functools
import importlib.util
import os
import random
import secrets
import socket
import subprocess
import tempfile
from pathlib import Path

from local.processes import StackError

HOST = "127.0.0.1"
READ_NICE = -15  # of the read processes and their Redis, where this user may set it
# Below the kernel's ephemeral ports: a client that reconnects while the server is down could be
# assigned the server's port, connect to itself, and keep the server from binding it again.
_PORT_RANGE = range(10_000, 32_000)


def check_port(port: int) -> None:
    """Raises `OSError` if a server could not listen on 127.0.0.1:`port` now."""
    with socket.socket() as probe:
        # As servers do: connections in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))


def find_free_port() -> int:
    """Returns a free port outside the ephemeral range. Raises `OSError` if there is none."""
    for port in random.sample(_PORT_RANGE, 100):
        with contextlib.suppress(OSError):
            check_port(port)
            return port
    raise OSError("100 ports were tried, and none is free")


def read_or_create_secret(path: Path) -> str:
    """Returns the secret in the file `path`, which is created (mode 0600) if it does not exist."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Renamed once written: the file is complete or absent.
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            file.write(secrets.token_urlsafe(48) + "\n")
        Path(file.name).rename(path)
    return path.read_text().strip()


def wheel_file(package: str, path: str) -> str:
    """Returns the path of a file in an installed package, without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is not None and spec.origin is not None:
        file = Path(spec.origin).parent / path
        if file.exists():
            return str(file)
    raise StackError(
        f"the wheel {package} has no {path} for this machine: name a real server "
        "with DATABASE_URL, REDIS_URL and QUEUE_URL instead"
    )


@functools.cache
def unprivileged_prefix() -> tuple[str, ...]:
    """Returns a prefix for PostgreSQL commands, which refuse to run as root.

    It maps root to user 1000 in a user namespace.
    """
    if os.geteuid() != 0:
        return ()
    prefix = ("unshare", "--map-user=1000", "--map-group=1000")
    try:
        subprocess.run([*prefix, "true"], check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError) as error:
        raise StackError(
            "PostgreSQL does not run as root, and `unshare` cannot give it another user here: "
            "start this as another user, or set DATABASE_URL"
        ) from error
    return prefix


def with_nice(nice: int, argv: list[str]) -> list[str]:
    """Returns a command that runs at a nice value, as far as this user may set it.

    Where the kernel groups processes by session (autogroup), a nice value counts only inside the
    group: so the group gets it too. Values below 0 need CAP_SYS_NICE (as root), or `ulimit -e`.
    """
    script = (
        f"echo {nice} 2>/dev/null >/proc/self/autogroup; "
        f'renice -n {nice} -p $$ >/dev/null 2>&1; exec "$@"'
    )
    return ["sh", "-c", script, "sh", *argv]


def child_pids(parent: int) -> list[int]:
    """Returns the pids of all living children of a process."""
    pids = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, ppid = stat.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has exited meanwhile
        if int(ppid) == parent and state != "Z":
            pids.append(int(stat.parent.name))
    return pids
