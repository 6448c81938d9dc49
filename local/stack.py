"""The whole service on this machine: its servers, and its own processes.

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

from local.machine import HOST, READ_NICE, check_port, free_port, secret
from local.processes import LocalError, Process, await_end, stop_all
from local.product import WRITE_SOCKET, Commands, product
from local.servers import Postgres, Valkey

_READY_DEADLINE = 60.0
_STEP_DEADLINE = 120.0
_MAX_SOCKET_PATH = 107
_STOP_DEADLINE = 25.0  # longer than gunicorn and Huey give their own workers


class Stack:
    """Everything that `make run` runs, as one thing that starts and stops.

    Goes in: `data_dir`, where all data and logs are kept; `port`, of the web server (default: a
    free one); `env`, variables for the product on top of our own environment; `fast`, see
    `Postgres`; `commands`, what to run for a given port (default: the product).

    `parts` holds what runs, by name: "postgres", "profiles", "queue" (each one only if no
    DATABASE_URL, REDIS_URL, QUEUE_URL names a real server), "read", "write", "worker", "relay".
    """

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
        *,
        fast: bool = False,
        commands: Callable[[int], Commands] = product,
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.port = port or free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.stopping = False
        self._lock: IO[str] | None = None
        self._fast = fast
        self._commands = commands(self.port)
        self._given = {**os.environ, **(env or {})}
        self._servers = self._needed_servers()
        self._service: dict[str, Process] = {}

    @property
    def parts(self) -> dict[str, Process]:
        """All parts by name, in the order in which they are started."""
        return {**{server.name: server for server in self._servers.values()}, **self._service}

    def start(self) -> None:
        """Start everything, and return when the service is ready.

        Raises LocalError, with everything stopped again, if the data folder is in use, the port is
        taken, or a part fails.
        """
        self.stopping = False
        with ExitStack() as undo:
            undo.callback(self.stop)
            self._lock_data_dir()
            self._check_port()
            for server in self._servers.values():
                server.start()
            env = self.environment()
            for name, argv in self._commands.once.items():
                self._process(name, argv, env).run(_STEP_DEADLINE)
            self._check_port()
            for name, argv in self._commands.service.items():
                self._service[name] = self._process(name, argv, env)
                self._service[name].start()
            self.wait_until_ready()
            undo.pop_all()

    def stop(self) -> None:
        """Stop everything, the service before its servers; kill what has not ended after 25 s."""
        self.stopping = True
        stop_all(self._service.values(), _STOP_DEADLINE)
        stop_all(self._servers.values(), _STOP_DEADLINE)
        if self._lock:
            self._lock.close()
            self._lock = None

    def hurry(self) -> None:
        """Have everything end at once. For a signal handler: it does not wait."""
        for part in self.parts.values():
            part.send(part.death_signal)

    def kill(self, name: str) -> None:
        """End one part with SIGKILL and wait until it is gone. Raises KeyError if unknown."""
        self.parts[name].kill()

    def restart(self, name: str) -> None:
        """Stop one part, if it runs, and start it. Raises KeyError for an unknown name."""
        self.parts[name].stop(_STOP_DEADLINE)
        self.parts[name].start()

    def environment(self) -> dict[str, str]:
        """The environment of the product's processes."""
        return {
            "DJANGO_SETTINGS_MODULE": "settings.dev",
            "SECRET_KEY": secret(self.data_dir / "secret-key"),
            "PUBLIC_URL": self.url,
            "WRITE_UPSTREAM": f"unix:{self._write_socket()}",
            "PYTHONUNBUFFERED": "1",  # logs tell what happened until the end, also after kill -9
            # An empty variable is one that is not set, as in DATABASE_URL= make run.
            **{name: value for name, value in self._given.items() if value},
            **{variable: server.url for variable, server in self._servers.items()},
            "DATA_DIR": str(self.data_dir),
            "PORT": str(self.port),
        }

    def wait_until_ready(self) -> None:
        """Return when GET /readyz says 200.

        Raises LocalError, with the tail of a log, if a part ends instead or it takes over 60 s.
        """
        running = [part for part in self.parts.values() if part.running]
        deadline = time.monotonic() + _READY_DEADLINE
        while why_not := self._why_not_ready():
            await_end(running, timeout=0.05)
            for part in running:
                if part.ended():
                    raise LocalError(f"{part.name} ended, status {part.status}\n{part.tail()}")
            if time.monotonic() > deadline:
                log = next(iter(self._service.values())).tail()
                raise LocalError(f"not ready after {_READY_DEADLINE:g} s: {why_not}\n{log}")

    def _why_not_ready(self) -> str:
        """Empty when GET /readyz says 200."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            body = answer.read(2000).decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            return repr(error)
        finally:
            connection.close()
        return "" if answer.status == http.HTTPStatus.OK else f"/readyz says {answer.status} {body}"

    def _write_socket(self) -> Path:
        """Returns the path of the write process' socket; a path of a unix socket is at most 107
        bytes long (unix(7)), which a data folder may exceed.
        """
        path = self.data_dir / WRITE_SOCKET
        if len(os.fsencode(path)) <= _MAX_SOCKET_PATH:
            return path
        digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"rollcall-{digest}.sock"

    def _needed_servers(self) -> dict[str, Postgres | Valkey]:
        """The embedded servers that stand in for real ones, by the variable that names those."""
        servers: dict[str, Postgres | Valkey] = {}
        if not self._given.get("DATABASE_URL"):
            servers["DATABASE_URL"] = Postgres(self.data_dir, fast=self._fast)
        for variable, name, nice in (
            ("REDIS_URL", "profiles", READ_NICE),
            ("QUEUE_URL", "queue", 0),
        ):
            if not self._given.get(variable):
                servers[variable] = Valkey(self.data_dir, name, nice=nice)
        return servers

    def _lock_data_dir(self) -> None:
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = (self.data_dir / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalError(
                f"{self.data_dir} is in use by another run; choose another with DATA_DIR=…"
            ) from None

    def _check_port(self) -> None:
        # gunicorn would try again for a while, and its words would be in a log only.
        try:
            check_port(self.port)
        except OSError as error:
            raise LocalError(
                f"port {self.port} is taken ({error.strerror}); choose another with PORT=…"
            ) from None

    def _process(self, name: str, argv: list[str], env: Mapping[str, str]) -> Process:
        return Process(name, argv, self.data_dir / "logs" / f"{name}.log", env=env)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
