"""Sign-ups compared with a psycopg loop and a plain DRF application that insert the same rows."""

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx

from loadtests import ISOLATED_ENV, resource_usage
from loadtests.bench.config import Config
from loadtests.bench.load import run_generator, sign_up_argv
from loadtests.bench.paired_rounds import Ratio, Target, ratio, run_interleaved
from loadtests.bench.report import Section, table
from loadtests.bench.servers import server_commands
from loadtests.bench.toolchain import BENCH_PYTHON, ROOT
from loadtests.people import sign_up_payload
from local.processes import Process, StackError, wait_any
from local.stack import Stack
from local.tcp_ports import HOST, find_free_port

_CLIENTS = 8
_MAX_PER_SECOND = 2_000  # sign-ups for which bodies are prepared
_MIN_RATIO_TO_LOOP, _MIN_RATIO_TO_PEER = 0.4, 2.0
_START_TIMEOUT = 30.0
_PATH = "/api/v1/signup/"


@dataclass(frozen=True)
class Measurement:
    """Sign-ups per second, and the server's CPU in ms for each (0 for the loop, which has none)."""

    per_second: float
    cpu_ms: float = 0.0


@dataclass(frozen=True)
class Bench:
    """A running stack, whose Postgres and queue the others use too; `seconds` of each load."""

    stack: Stack
    seconds: float
    folder: Path

    def rollcall(self) -> Measurement:
        """Measures sign-ups over HTTP, from clients in a closed loop."""
        return self._load(
            self.stack.port, [self.stack.services[name] for name in ("read", "write")]
        )

    def plain(self, peer: Process, port: int) -> Measurement:
        """Measures the plain DRF application."""
        return self._load(port, [peer])

    def loop(self) -> Measurement:
        """Measures the rows of sign-ups that a psycopg loop inserts."""
        argv = [sys.executable, "-m", "loadtests.bench.insert_baseline", str(self.seconds)]
        result = run_generator(argv, self.seconds, self.folder, self.stack.environment())
        return Measurement(result["requests"] / result["seconds"])

    def _load(self, port: int, server: list[Process]) -> Measurement:
        bodies = self.folder / "bodies"
        count = int(self.seconds * _MAX_PER_SECOND)
        bodies.write_text("\n".join(json.dumps(sign_up_payload()) for _ in range(count)))
        argv = sign_up_argv(port, bodies, count, self.seconds, _CLIENTS)
        pids = [pid for process in server for pid in resource_usage.process_tree(process.pid)]
        before = resource_usage.cpu_seconds(pids)
        result = run_generator(argv, self.seconds, self.folder)
        cpu = resource_usage.cpu_seconds(pids) - before
        created = result["requests"] - result["failed"]
        if result["failed"] > result["requests"] / 100:
            raise StackError(f"{result['failed']:g} sign-ups failed\n{server[-1].log_tail()}")
        return Measurement(created / result["seconds"], 1000 * cpu / created)


def run(config: Config, folder: Path) -> list[Section]:
    """Measures all three in rounds, without workers, which are not part of the sign-up."""
    with Stack(folder / "data", env=ISOLATED_ENV, commands=server_commands) as stack:
        bench, port = Bench(stack, config.sign_up_seconds, folder), find_free_port()
        bench.rollcall()  # to warm up
        beside_workers = bench.rollcall()
        for name in ("worker", "relay"):
            stack.services[name].stop()
        with new_plain(stack.environment(), port, folder) as peer:
            await_response(peer, port)
            bench.plain(peer, port)  # to warm up
            loads = [bench.rollcall, lambda: bench.plain(peer, port), bench.loop]
            rounds = run_interleaved(loads, config.rounds, lambda load: load())
    return [_section(config, beside_workers, *rounds)]


def new_plain(env: Mapping[str, str], port: int, folder: Path) -> Process:
    """Returns the plain DRF application under gunicorn, with as many processes and threads as
    Rollcall.

    `env` has the URLs of Postgres and Redis.
    """
    argv = [BENCH_PYTHON, "-m", "gunicorn", "--bind", f"{HOST}:{port}", "--chdir", str(ROOT)]
    argv += ["--worker-class", "gthread", "--workers", "2", "--threads", "8"]
    argv += ["loadtests.peers.sign_up_app:application"]
    settings = {"DJANGO_SETTINGS_MODULE": "loadtests.peers.sign_up_settings"}
    return Process("plain", argv, folder / "plain.log", env={**env, **settings})


def await_response(server: Process, port: int) -> None:
    """Returns when a server responds. Raises `StackError` if it does not within 30 s."""
    deadline = time.monotonic() + _START_TIMEOUT
    while True:
        try:
            httpx.get(f"http://{HOST}:{port}{_PATH}", timeout=5)
        except httpx.TransportError:
            if wait_any([server], timeout=0.05) or time.monotonic() > deadline:
                raise StackError(f"{server.name} does not respond\n{server.log_tail()}") from None
        else:
            return


def _section(
    config: Config,
    beside_workers: Measurement,
    rollcall: list[Measurement],
    plain: list[Measurement],
    loop: list[Measurement],
) -> Section:
    to_loop, to_plain = _ratio(rollcall, loop), _ratio(rollcall, plain)
    rows = [
        _row("Rollcall", rollcall, ""),
        _row("DRF + ORM + Huey", plain, str(to_plain)),
        _row("a bare psycopg loop", loop, str(to_loop)),
        _row("Rollcall while workers deliver", [beside_workers], ""),
    ]
    return Section(
        f"Sign-ups, {_CLIENTS} clients at a time: {config.rounds} rounds of"
        f" {config.sign_up_seconds:g} s",
        table(["", "per second", "CPU ms", "Rollcall to it"], rows),
        [
            Target(
                "sign-ups, to a bare psycopg loop",
                to_loop.median,
                _MIN_RATIO_TO_LOOP,
                at_least=True,
            ),
            Target(
                "sign-ups, to DRF + ORM + Huey", to_plain.median, _MIN_RATIO_TO_PEER, at_least=True
            ),
        ],
        {
            "sign_ups": [one.per_second for one in rollcall],
            "cpu_ms": [one.cpu_ms for one in rollcall],
            "plain": [one.per_second for one in plain],
            "plain_cpu_ms": [one.cpu_ms for one in plain],
            "inserts": [one.per_second for one in loop],
            "beside_workers": beside_workers.per_second,
        },
    )


def _ratio(these: list[Measurement], those: list[Measurement]) -> Ratio:
    return ratio([one.per_second for one in these], [one.per_second for one in those])


def _row(title: str, measurements: list[Measurement], to_it: str) -> list[str]:
    rate = median(one.per_second for one in measurements)
    cpu = median(one.cpu_ms for one in measurements)
    return [title, f"{rate:.0f}", f"{cpu:.2f}" if cpu else "", to_it]
