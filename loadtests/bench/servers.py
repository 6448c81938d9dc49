"""Who is compared: each server as one process, with one worker, on a port of its own."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import httpx

from loadtests.bench import usage
from loadtests.bench.people import Crowd
from loadtests.bench.tools import BENCH_PYTHON, FASTIFY, ROOT, node
from local.machine import HOST, free_port
from local.processes import LocalError, Process, await_end
from local.product import product

PATH = "/api/v1/profile/"
_DEADLINE = 30.0


@dataclass(frozen=True)
class Server:
    """One who is compared: what it is called, how it is started, and whom it is asked for."""

    name: str
    title: str
    process: Process
    port: int
    crowd: Crowd

    @cached_property
    def pids(self) -> list[int]:
        """All of its processes; to be asked for once it runs."""
        return usage.tree(self.process.pid)

    def start(self) -> None:
        """Start it, and return when it answers. Raises LocalError if it does not within 30 s."""
        self.process.start()
        deadline = time.monotonic() + _DEADLINE
        while not self._answers():
            if await_end([self.process], timeout=0.05) or time.monotonic() > deadline:
                raise LocalError(f"{self.title} does not answer\n{self.process.tail()}")

    def _answers(self) -> bool:
        try:
            answer = httpx.get(f"http://{HOST}:{self.port}{PATH}", timeout=2)
        except httpx.TransportError:
            return False
        return answer.status_code == httpx.codes.UNAUTHORIZED


def rollcall(crowd: Crowd, folder: Path, *, workers: int = 1) -> Server:
    """Rollcall's front door, as `make run` starts it, but without Postgres: reads need none."""
    port = free_port()
    env = {
        "DJANGO_SETTINGS_MODULE": "settings.dev",
        "DATABASE_URL": f"postgresql://{HOST}:1/none",
        "QUEUE_URL": crowd.redis.url,
        "HUEY_DASHBOARD": "0",
    }
    argv = product(port, workers).service["read"]
    return Server("rollcall", "Rollcall", _process(argv, port, crowd, folder, env), port, crowd)


def fastify(crowd: Crowd, folder: Path) -> Server:
    """Fastify and ioredis on Node, as people run them in production."""
    port = free_port()
    argv, env = [str(node()), str(FASTIFY / "server.js")], {"NODE_ENV": "production"}
    process = _process(argv, port, crowd, folder, env)
    return Server("fastify", "Fastify + ioredis", process, port, crowd)


def fastapi(crowd: Crowd, folder: Path) -> Server:
    """FastAPI and redis.asyncio on uvicorn, with its fastest loop and parser."""
    port = free_port()
    argv = [BENCH_PYTHON, "-m", "uvicorn", "loadtests.peers.fastapi_app:app"]
    argv += ["--host", HOST, "--port", str(port), "--loop", "uvloop", "--http", "httptools"]
    argv += ["--no-access-log", "--log-level", "warning"]
    process = _process(argv, port, crowd, folder, {})
    return Server("fastapi", "FastAPI + redis.asyncio", process, port, crowd)


def drf(crowd: Crowd, folder: Path) -> Server:
    """A DRF view under granian's WSGI server, with four threads: under gunicorn, and with
    granian's own number of threads, a request cost it a fifth more.
    """
    port = free_port()
    argv = [BENCH_PYTHON, "-m", "granian", "--interface", "wsgi", "--http", "1", "--no-ws"]
    argv += ["--host", HOST, "--port", str(port), "--workers", "1", "--blocking-threads", "4"]
    argv += ["--working-dir", str(ROOT), "loadtests.peers.drf_app:application"]
    env = {"DJANGO_SETTINGS_MODULE": "loadtests.peers.drf_settings"}
    process = _process(argv, port, crowd, folder, env)
    return Server("drf", "DRF + django-redis", process, port, crowd)


PEERS = (fastify, fastapi, drf)


def _process(
    argv: list[str], port: int, crowd: Crowd, folder: Path, env: Mapping[str, str]
) -> Process:
    base = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PORT": str(port),
        "REDIS_URL": crowd.redis.url,
        "SECRET_KEY": crowd.secret,
    }
    return Process(f"server-{port}", argv, folder / f"server-{port}.log", env={**base, **env})
