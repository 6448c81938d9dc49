"""The whole service on this machine: its servers and its own processes.

with Stack(folder, env={"SMS_FROM": "Rollcall"}) as stack:
    httpx.get(stack.url + "/readyz")
    stack.kill("worker")
    stack.restart("worker")
"""

import fcntl
import hashlib
import http.client
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Self

from local.commands import WRITE_SOCKET, Commands, rollcall_commands
from local.machine import HOST, READ_NICE, check_port, find_free_port, read_or_create_secret
from local.processes import Process, StackError, stop_all, wait_any
from local.servers import Postgres, Valkey

_READY_TIMEOUT = 60.0
_SETUP_TIMEOUT = 120.0
_MAX_SOCKET_PATH = 107
_STOP_TIMEOUT = 25.0  # longer than gunicorn and Huey give their own workers


class Stack:
    """All processes of `make run`, started and stopped together.

    `data_dir`: where all data and logs are kept; `port`: of the web server (default: a free one);
    `env`: variables for the product in addition to the current environment; `durable`, see
    `Postgres`; `commands`: what to run for a given port (default: Rollcall).

    `services` are the processes by name: "postgres", "profiles", "queue" (each one only if no
    DATABASE_URL, REDIS_URL, QUEUE_URL names a real server), "read", "write", "worker", "relay".
    """

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
        *,
        durable: bool = True,
        commands: Callable[[int], Commands] = rollcall_commands,
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.port = port or find_free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.stopping = False
        self._lock: IO[str] | None = None
        self._durable = durable
        self._commands = commands(self.port)
        self._base_env = {**os.environ, **(env or {})}
        self._servers = self._make_servers()
        self._processes: dict[str, Process] = {}

    @property
    def services(self) -> dict[str, Process]:
        """All processes by name, in the order in which they are started."""
        return {**{server.name: server for server in self._servers.values()}, **self._processes}

    def start(self) -> None:
        """Starts everything, and returns when the service is ready.

        Raises `StackError`, with everything stopped again, if the data folder is in use, the port
        is taken, or a service fails.
        """
        self.stopping = False
        with ExitStack() as stack:
            stack.callback(self.stop)
            self._lock_data_dir()
            self._check_port()
            for server in self._servers.values():
                server.start()
            env = self.environment()
            for name, argv in self._commands.setup.items():
                self._make_process(name, argv, env).run(_SETUP_TIMEOUT)
            self._check_port()
            for name, argv in self._commands.services.items():
                self._processes[name] = self._make_process(name, argv, env)
                self._processes[name].start()
            self.wait_until_ready()
            stack.pop_all()

    def stop(self) -> None:
        """Stops everything, servers last; kills what has not exited after 25 s."""
        self.stopping = True
        stop_all(self._processes.values(), _STOP_TIMEOUT)
        stop_all(self._servers.values(), _STOP_TIMEOUT)
        if self._lock:
            self._lock.close()
            self._lock = None

    def force_stop(self) -> None:
        """Has all processes exit at once. For signal handlers: it does not wait."""
        for service in self.services.values():
            service.send(service.parent_death_signal)

    def kill(self, name: str) -> None:
        """Kills a service with SIGKILL and waits for its exit. Raises `KeyError` if unknown."""
        self.services[name].kill()

    def restart(self, name: str) -> None:
        """Stops a service, if it runs, and starts it. Raises `KeyError` if unknown."""
        self.services[name].stop(_STOP_TIMEOUT)
        self.services[name].start()

    def environment(self) -> dict[str, str]:
        """Returns the environment of Rollcall's processes."""
        return {
            "DJANGO_SETTINGS_MODULE": "settings.dev",
            "SECRET_KEY": read_or_create_secret(self.data_dir / "secret-key"),
            "PUBLIC_URL": self.url,
            "WRITE_UPSTREAM": f"unix:{self._write_socket()}",
            "PYTHONUNBUFFERED": "1",  # logs are complete, also after SIGKILL
            # An empty variable counts as unset, as in DATABASE_URL= make run.
            **{name: value for name, value in self._base_env.items() if value},
            **{variable: server.url for variable, server in self._servers.items()},
            "DATA_DIR": str(self.data_dir),
            "PORT": str(self.port),
        }

    def wait_until_ready(self) -> None:
        """Returns when GET /readyz is a 200.

        Raises `StackError`, with the tail of a log, if a service exits or it takes over 60 s.
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
                log = next(iter(self._processes.values())).log_tail()
                raise StackError(f"not ready after {_READY_TIMEOUT:g} s: {error}\n{log}")

    def _readiness_error(self) -> str:
        """Returns why the service is not ready; empty when GET /readyz is a 200."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            response = connection.getresponse()
            body = response.read(2000).decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            return repr(error)
        finally:
            connection.close()
        return (
            "" if response.status == http.HTTPStatus.OK else f"/readyz is {response.status} {body}"
        )

    def _write_socket(self) -> Path:
        """Returns the path of the write process' socket; a path of a unix socket is at most 107
        bytes long (unix(7)), which a data folder may exceed.
        """
        path = self.data_dir / WRITE_SOCKET
        if len(os.fsencode(path)) <= _MAX_SOCKET_PATH:
            return path
        digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"rollcall-{digest}.sock"

    def _make_servers(self) -> dict[str, Postgres | Valkey]:
        """Returns the embedded servers, by the variable that would name a real one."""
        servers: dict[str, Postgres | Valkey] = {}
        if not self._base_env.get("DATABASE_URL"):
            servers["DATABASE_URL"] = Postgres(self.data_dir, durable=self._durable)
        for variable, name, nice in (
            ("REDIS_URL", "profiles", READ_NICE),
            ("QUEUE_URL", "queue", 0),
        ):
            if not self._base_env.get(variable):
                servers[variable] = Valkey(self.data_dir, name, nice=nice)
        return servers

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

    def _make_process(self, name: str, argv: list[str], env: Mapping[str, str]) -> Process:
        return Process(name, argv, self.data_dir / "logs" / f"{name}.log", env=env)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
