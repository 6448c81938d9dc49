"""A measured server: one process with one worker, on its own port."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import httpx

from domain.model.errors import InvalidToken, ServiceUnavailable
from loadtests import resource_usage
from loadtests.bench.people import Dataset
from loadtests.bench.toolchain import ROOT, with_server_python
from loadtests.peers.responses import error_response
from local.commands import Commands, read_command, rollcall_commands
from local.processes import Process, StackError, wait_any
from local.tcp_ports import HOST, find_free_port

PATH = "/api/v1/profile/"
_DEADLINE = 30.0
_PLACEHOLDER = "REQUEST_ID"  # for the request id, in problem documents of peers in other languages


@dataclass(frozen=True)
class Server:
    """A server: its key in the results, its title, process and dataset.

    `reads` is False if it sends a constant instead of a profile.
    """

    name: str
    title: str
    process: Process
    port: int
    dataset: Dataset
    reads: bool = True

    @cached_property
    def pids(self) -> list[int]:
        """All of its processes, the main one first; valid once it runs."""
        return resource_usage.process_tree(self.process.pid)

    def start(self) -> None:
        """Starts it; returns when it responds. Raises `StackError` after 30 s."""
        self.process.start()
        deadline = time.monotonic() + _DEADLINE
        while not self._responds():
            if wait_any([self.process], timeout=0.05) or time.monotonic() > deadline:
                raise StackError(f"{self.title} does not answer\n{self.process.log_tail()}")

    def _responds(self) -> bool:
        try:
            response = httpx.get(f"http://{HOST}:{self.port}{PATH}", timeout=2)
        except httpx.TransportError:
            return False
        expected = httpx.codes.UNAUTHORIZED if self.reads else httpx.codes.OK
        return response.status_code == expected


def rollcall(
    dataset: Dataset,
    folder: Path,
    *,
    workers: int = 1,
    without: str = "",
    title: str = "Rollcall",
    root: Path = ROOT,
    **more_env: str,
) -> Server:
    """Rollcall's read process as in `make run`, without Postgres: reads need none. `root` is the
    folder with the product.

    `without`: a mechanism that is switched off, see `loadtests.peers.ablation_app`.
    """
    port = find_free_port()
    env = {
        "DJANGO_SETTINGS_MODULE": "settings.dev",
        "DATABASE_URL": f"postgresql://{HOST}:1/none",
        "QUEUE_URL": dataset.redis.url,
        "HUEY_DASHBOARD": "0",
        "PYTHONPATH": str(root),
        **more_env,
    }
    # Without a priority, which the peers have not either.
    argv = with_server_python(read_command(port, workers, root=root, is_first=False))
    if without:
        argv[-1] = "loadtests.peers.ablation_app:Application"
        env["ABLATION"] = without
    # gunicorn imports its settings from the current folder, whatever `--chdir` says.
    argv = ["env", "-C", str(root), *argv]
    process = new_process(argv, port, dataset, folder, env)
    title = f"without {without}" if without else title
    return Server(without or "rollcall", title, process, port, dataset)


def server_commands(port: int, write_bind: str) -> Commands:
    """Returns the commands of `make run` on the measured interpreter, for a `Stack`."""
    setup, services = rollcall_commands(port, write_bind)
    measured = {name: with_server_python(argv) for name, argv in services.items()}
    return Commands(with_server_python(setup), measured)


def new_process(
    argv: Sequence[str], port: int, dataset: Dataset, folder: Path, env: Mapping[str, str]
) -> Process:
    """Returns a server's process, with the common environment of all servers and `env`."""
    base = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PORT": str(port),
        "REDIS_URL": dataset.redis.url,
        "SECRET_KEY": dataset.secret,
        "PROBLEM_401": error_response(InvalidToken(), _PLACEHOLDER).body.decode(),
        "PROBLEM_503": error_response(ServiceUnavailable(), _PLACEHOLDER).body.decode(),
        "RETRY_AFTER": str(ServiceUnavailable().retry_after),
    }
    return Process(f"server-{port}", argv, folder / f"server-{port}.log", env={**base, **env})
