"""One load on one server, and what it cost: wrk if it is there, else our own generator."""

import json
import resource
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
class Measurement:
    """What one load has shown. CPU is in µs a read: that of all processes of the server, of Redis,
    and of the generator; `memory_mb` is the server's Pss; `background_cores` is how many cores all
    other programs of the machine kept busy during the load.
    """

    reads_per_second: float
    failed: int
    p50_ms: float
    p99_ms: float
    server_us: float
    redis_us: float
    generator_us: float
    memory_mb: float
    background_cores: float

    @property
    def both_us(self) -> float:
        """CPU of server and Redis together."""
        return self.server_us + self.redis_us


def has_wrk() -> bool:
    """Whether wrk is the generator."""
    return shutil.which("wrk") is not None


def measure(
    server: Server,
    seconds: float,
    folder: Path,
    hot_set_size: int | None = None,
    connections: int = CONNECTIONS,
) -> Measurement:
    """Reads profiles for so many seconds: of all people, or of the first `hot_set_size`.

    Raises LocalError if the generator fails, or if any read does.
    """
    redis = [server.crowd.redis.pid]
    before = _counters(server, redis)
    with on_core(OTHERS_CORE):
        argv = _argv(server, seconds, hot_set_size or server.crowd.people, connections)
        result = generate(argv, seconds, folder)
    server_cpu, redis_cpu, generator_cpu, busy, elapsed = (
        after - earlier for after, earlier in zip(_counters(server, redis), before, strict=True)
    )
    if result["failed"] or not result["requests"]:
        raise LocalError(f"{result['failed']:g} reads of {server.title} failed")
    us_per_read = 1e6 / result["requests"]
    return Measurement(
        reads_per_second=result["requests"] / result["seconds"],
        failed=int(result["failed"]),
        p50_ms=result["p50_ms"],
        p99_ms=result["p99_ms"],
        server_us=server_cpu * us_per_read,
        redis_us=redis_cpu * us_per_read,
        generator_us=generator_cpu * us_per_read,
        memory_mb=usage.memory_mb(server.pids),
        background_cores=max(0.0, busy - server_cpu - redis_cpu - generator_cpu) / elapsed,
    )


def generate(
    argv: list[str], seconds: float, folder: Path, env: Mapping[str, str] | None = None
) -> dict[str, float]:
    """The figures that a generator prints last. Raises LocalError with its output if it fails."""
    process = Process("generator", argv, folder / "generator.log", env=env)
    process.run(seconds + _ENDS_WITHIN)
    figures: dict[str, float] = json.loads(process.tail(1))
    return figures


def ours(kind: str, port: int, lines: Path, **options: float) -> list[str]:
    """The command of our own generator; options are its own, such as rate=100."""
    argv = [sys.executable, "-m", "loadtests.bench.generator", kind]
    argv += ["--port", str(port), "--lines", str(lines)]
    return argv + [f"--{name}={value}" for name, value in options.items()]


def sign_ups(port: int, bodies: Path, count: int, seconds: float, connections: int) -> list[str]:
    """The command of a generator that signs up the `count` bodies in a file, a line each."""
    if not has_wrk():
        return ours("sign-ups", port, bodies, seconds=seconds, connections=connections)
    return [*_wrk(port, seconds, connections), str(bodies), str(count), "sign-ups"]


def _argv(server: Server, seconds: float, hot_set_size: int, connections: int) -> list[str]:
    tokens = server.crowd.tokens
    if not has_wrk():
        options = {"first": hot_set_size, "seconds": seconds, "connections": connections}
        return ours("reads", server.port, tokens, **options)
    return [*_wrk(server.port, seconds, connections), str(tokens), str(hot_set_size)]


def _wrk(port: int, seconds: float, connections: int) -> list[str]:
    script = Path(__file__).with_name("wrk.lua")
    # wrk counts whole seconds.
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(script)]
    return [*argv, f"http://{HOST}:{port}{PATH}", "--"]


def _counters(server: Server, redis: list[int]) -> tuple[float, ...]:
    generators = resource.getrusage(resource.RUSAGE_CHILDREN)  # those that have ended
    return (
        usage.cpu_seconds(server.pids),
        usage.cpu_seconds(redis),
        generators.ru_utime + generators.ru_stime,
        usage.busy_seconds(),
        time.monotonic(),
    )
