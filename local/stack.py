"""The whole service on this machine: its servers and its own processes.

with Stack(folder, env={"SMS_FROM": "Rollcall"}) as stack:
    httpx.get(stack.url + "/readyz")
    stack.services["worker"].kill()
"""

import fcntl
import os
import shlex
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import IO, Self

import httpx

from local.commands import Commands, rollcall_commands
from local.postgres import Postgres
from local.processes import Process, StackError, stop_all, wait_any
from local.secret_files import read_or_create_secret, write_secret
from local.servers import Server, Valkey
from local.signals import signals_deferred
from local.tcp_ports import HOST, check_port, find_free_port

_READY_TIMEOUT = 120.0  # a busy machine gives processes with a nice value little time
_SETUP_TIMEOUT = 120.0
# To load the certificate authorities would take 30 ms of CPU at each look at /readyz.
_NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_STOP_TIMEOUT = 25.0  # longer than gunicorn and Huey give their own workers


class Stack:
    """All processes of `make run`, started and stopped together.

    `data_dir`: where all data and logs are kept; `port`: of the web server (default: a free one);
    `env`: variables for the product in addition to the current environment; `durable`, see
    `Postgres`; `commands`: what to run for a given port and WRITE_UPSTREAM (default: Rollcall);
    `step`: a context manager for each step of the start, made with its name.

    `services` are the processes by name, in the order in which they are started: "postgres",
    "profiles", "queue" (each one only if no DATABASE_URL, REDIS_URL, QUEUE_URL names a real
    server), "write", "read", "worker", "relay".
    """

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
        *,
        durable: bool = True,
        commands: Callable[[int, str], Commands] = rollcall_commands,
        step: Callable[[str], AbstractContextManager[None]] = lambda _: nullcontext(),
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.port = port or find_free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.stopping = False
        self._step = step
        self._lock: IO[str] | None = None
        self._write_upstream = f"unix:{self.data_dir / 'write.sock'}"
        self._commands = commands(self.port, self._write_upstream)
        self._base_env = {**os.environ, **(env or {})}
        self._servers = self._make_servers(durable=durable)
        self.services: dict[str, Process] = {each.name: each for each in self._servers.values()}

    def _make_servers(self, *, durable: bool) -> dict[str, Server]:
        """Returns the servers of this machine, by the variable that would name a real one."""
        servers: dict[str, Server] = {
            "DATABASE_URL": Postgres(self.data_dir, durable=durable),
            "REDIS_URL": Valkey(self.data_dir, "profiles", reads_first=True),
            "QUEUE_URL": Valkey(self.data_dir, "queue"),
        }
        return {name: server for name, server in servers.items() if not self._base_env.get(name)}

    def start(self) -> None:
        """Starts everything, and returns when the service is ready.

        Raises `StackError`, with everything stopped again, if the data folder is in use, the port
        is taken, or a service fails.
        """
        with ExitStack() as stack:
            stack.callback(self.stop)
            self._lock_data_dir()
            self._check_port()
            for server in self._servers.values():
                with self._step(f"starting {server.name}"):
                    server.start()
            self._set_up()
            self._check_port()
            for name, argv in self._commands.services.items():
                self.services[name] = self._make_process(name, argv)
            self._write_environment()
            with self._step("starting Rollcall"):
                self._start_own_services()
            stack.pop_all()

    @property
    def own_services(self) -> list[str]:
        """The names of Rollcall's own processes, in the order in which they are started."""
        return [*self._commands.services]

    def restart(self, *, setup: bool = False) -> None:
        """Restarts Rollcall's own processes, with the code as it is now; `setup`: migrates before.

        Raises `StackError` if one of them fails; the others may be running then.
        """
        stop_all([self.services[name] for name in self.own_services], _STOP_TIMEOUT)
        if setup:
            self._set_up()
        self._start_own_services()

    def _set_up(self) -> None:
        with self._step("migrating the database"):
            self._make_process("setup", self._commands.setup).run(_SETUP_TIMEOUT)

    def _start_own_services(self) -> None:
        for name in self.own_services:
            self.services[name].start()
        self.wait_until_ready()

    def stop(self) -> None:
        """Stops everything, servers last; kills what has not exited after 25 s."""
        self.stopping = True
        servers = self._servers.values()
        stop_all([each for each in self.services.values() if each not in servers], _STOP_TIMEOUT)
        stop_all(servers, _STOP_TIMEOUT)
        if self._lock:
            self._lock.close()

    def force_stop(self) -> None:
        """Has all processes exit at once. For signal handlers: it does not wait."""
        for service in self.services.values():
            service.send(service.force_stop_signal)

    def environment(self) -> dict[str, str]:
        """Returns the environment of Rollcall's processes."""
        return {
            "DJANGO_SETTINGS_MODULE": "settings.dev",
            "SECRET_KEY": read_or_create_secret(self.data_dir / "secret-key"),
            "PUBLIC_URL": self.url,
            "WRITE_UPSTREAM": self._write_upstream,
            "PYTHONUNBUFFERED": "1",  # logs are complete, also after SIGKILL
            # An empty variable counts as unset, as in DATABASE_URL= make run.
            **{name: value for name, value in self._base_env.items() if value},
            **{variable: server.url for variable, server in self._servers.items()},
            "DATA_DIR": str(self.data_dir),
            "PORT": str(self.port),
        }

    def _write_environment(self) -> None:
        """Writes what `make manage` reads: the variables that this run differs by from its shell,
        as lines of a shell script.
        """
        variables = self.environment().items() - os.environ.items()
        lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(variables)]
        write_secret(self.data_dir / "environment", "\n".join(lines))

    def wait_until_ready(self) -> None:
        """Returns when GET /readyz is a 200.

        Raises `StackError`, with the tail of a log, if a service exits or it takes over 120 s.
        """
        running = [service for service in self.services.values() if service.is_running]
        deadline = time.monotonic() + _READY_TIMEOUT
        while error := self._readiness_error():
            wait_any(running, timeout=0.05)
            for service in running:
                if service.wait():
                    raise StackError(
                        f"{service.name} ended, status {service.status}\n{service.log_tail()}"
                    )
            if time.monotonic() > deadline:
                raise StackError(
                    f"not ready after {_READY_TIMEOUT:g} s: {error}; see {self.data_dir}/logs/"
                )

    def _readiness_error(self) -> str:
        """Returns why the service is not ready; empty when GET /readyz is a 200."""
        try:
            with signals_deferred():  # the first call imports modules
                response = httpx.get(
                    f"{self.url}/readyz", timeout=5, trust_env=False, verify=_NO_AUTHORITIES
                )
        except httpx.HTTPError as error:
            return repr(error)
        return "" if response.is_success else f"/readyz is {response.status_code} {response.text}"

    def _lock_data_dir(self) -> None:
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = (self.data_dir / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(
                f"{self.data_dir} is in use by another run; choose another with DATA_DIR=…"
            ) from None

    def _check_port(self) -> None:
        # gunicorn would retry for a while, and report the error only in its log.
        try:
            check_port(self.port)
        except OSError as error:
            raise StackError(
                f"port {self.port} is taken ({error.strerror}); choose another with PORT=…"
            ) from None

    def _make_process(self, name: str, argv: list[str]) -> Process:
        log = self.data_dir / "logs" / f"{name}.log"
        return Process(name, argv, log, env=self.environment())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
