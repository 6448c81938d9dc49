"""One load on one server, and what it cost: wrk if it is there, else our own generator."""

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from loadtests.bench import usage
from loadtests.bench.servers import PATH, Server
from loadtests.bench.tools import on_core
from local.machine import HOST
from local.processes import LocalError, Process

CONNECTIONS = 64
SERVER_CORE, OTHERS_CORE = 0, 1
_ENDS_WITHIN = 20.0  # seconds, after its time


@dataclass(frozen=True)
class Sample:
    """What one load has shown. CPU is that of all processes of the server, of Redis, and of the
    generator, in µs a read; `memory_mb` is the server's; `others` is how many cores all other
    programs of the machine kept busy meanwhile.
    """

    a_second: float
    failed: int
    p50_ms: float
    p99_ms: float
    cpu: float
    redis_cpu: float
    load_cpu: float
    memory_mb: float
    others: float


def has_wrk() -> bool:
    """Whether wrk is the generator."""
    return shutil.which("wrk") is not None


def measure(
    server: Server,
    seconds: float,
    folder: Path,
    first: int | None = None,
    connections: int = CONNECTIONS,
) -> Sample:
    """Read profiles for so many seconds: of everybody, or of the `first` so many.

    Raises LocalError if the generator fails, or if any read does.
    """
    redis = [server.crowd.redis.pid]
    before = _counters(server, redis)
    with on_core(OTHERS_CORE):
        argv = _argv(server, seconds, first or server.crowd.people, connections)
        told = generate(argv, seconds, folder)
    cpu, redis_cpu, load_cpu, busy, elapsed = (
        after - earlier for after, earlier in zip(_counters(server, redis), before, strict=True)
    )
    if told["failed"] or not told["requests"]:
        raise LocalError(f"{told['failed']:g} reads of {server.title} failed")
    a_read = 1e6 / told["requests"]
    return Sample(
        a_second=told["requests"] / told["seconds"],
        failed=int(told["failed"]),
        p50_ms=told["p50_ms"],
        p99_ms=told["p99_ms"],
        cpu=cpu * a_read,
        redis_cpu=redis_cpu * a_read,
        load_cpu=load_cpu * a_read,
        memory_mb=usage.memory_mb(server.pids),
        others=max(0.0, busy - cpu - redis_cpu - load_cpu) / elapsed,
    )


def generate(
    argv: list[str], seconds: float, folder: Path, env: Mapping[str, str] | None = None
) -> dict[str, float]:
    """The figures that a generator prints last. Raises LocalError with its words if it fails."""
    process = Process("generator", argv, folder / "generator.log", env=env)
    process.run(seconds + _ENDS_WITHIN)
    figures: dict[str, float] = json.loads(process.tail(1))
    return figures


def ours(kind: str, port: int, lines: Path, **options: float) -> list[str]:
    """The command of our own generator; options are its own, such as rate=100."""
    argv = [sys.executable, "-m", "loadtests.bench.generator", kind]
    argv += ["--port", str(port), "--lines", str(lines)]
    return argv + [f"--{name}={value}" for name, value in options.items()]


def _argv(server: Server, seconds: float, first: int, connections: int) -> list[str]:
    if not has_wrk():
        return ours(
            "reads",
            server.port,
            server.crowd.tokens,
            first=first,
            seconds=seconds,
            connections=connections,
        )
    script = Path(__file__).with_name("wrk.lua")
    # wrk counts whole seconds.
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(script)]
    argv += [f"http://{HOST}:{server.port}{PATH}", "--", str(server.crowd.tokens), str(first)]
    return argv


def _counters(server: Server, redis: list[int]) -> tuple[float, ...]:
    ended = os.times()  # of the generators, which are our children
    return (
        usage.cpu_seconds(server.pids),
        usage.cpu_seconds(redis),
        ended.children_user + ended.children_system,
        usage.busy_seconds(),
        time.monotonic(),
    )
