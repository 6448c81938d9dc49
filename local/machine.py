"""What this machine offers: free ports, secrets kept in files, binaries in wheels, processes."""

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

from local.processes import LocalError

HOST = "127.0.0.1"
READ_NICE = -15  # of the read processes and their Redis, where this user may set it
# Below the ports that the kernel gives to outgoing connections. Had a server one of those, then a
# client that reconnects while the server is away could be given the server's own port, connect to
# itself, and keep the server from ever coming back on it.
_OURS = range(10_000, 32_000)


def check_port(port: int) -> None:
    """Return if a server could listen on 127.0.0.1:`port` now; else raise OSError, saying why."""
    with socket.socket() as probe:
        # As servers do: connections of an earlier server that linger in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))


def free_port() -> int:
    """A port that nobody listens on, also fit to come back to later. Raises OSError if none is."""
    for port in random.sample(_OURS, 100):
        with contextlib.suppress(OSError):
            check_port(port)
            return port
    raise OSError("100 ports were tried, and none is free")


def secret(path: Path) -> str:
    """The secret kept in the file `path`; made up and written (mode 0600) if there is none yet."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Written beside its place first: a secret is there whole or not at all.
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            file.write(secrets.token_urlsafe(48) + "\n")
        Path(file.name).rename(path)
    return path.read_text().strip()


def in_wheel(package: str, path: str) -> str:
    """The path of a file inside an installed package, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is not None and spec.origin is not None:
        file = Path(spec.origin).parent / path
        if file.exists():
            return str(file)
    raise LocalError(
        f"the wheel {package} has no {path} for this machine: name a real server "
        "with DATABASE_URL, REDIS_URL and QUEUE_URL instead"
    )


@functools.cache
def unprivileged() -> tuple[str, ...]:
    """What to put before a PostgreSQL command, which refuses to run as root.

    In a user namespace of its own it sees itself, and root's files, as those of user 1000.
    """
    if os.geteuid() != 0:
        return ()
    prefix = ("unshare", "--map-user=1000", "--map-group=1000")
    try:
        subprocess.run([*prefix, "true"], check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError) as error:
        raise LocalError(
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


def children(parent: int) -> list[int]:
    """The pids of all living children of a process."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, ppid = stat.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we were looking
        if int(ppid) == parent and state != "Z":
            found.append(int(stat.parent.name))
    return found
