"""Reads at a constant rate and sign-ups in a closed loop, concurrently, on the whole service."""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests import resource_usage
from loadtests.bench import writers
from loadtests.bench.toolchain import ROOT, with_server_python
from loadtests.people import sign_up_payload
from loadtests.seeding import insert
from local.processes import Process
from local.stack import Stack

_READERS = 10_000  # people whose profiles are read
_MAX_SIGN_UPS = 1_500  # per second, for which bodies are prepared
_END_TIMEOUT, _REBUILD_TIMEOUT = 60.0, 120.0
_MAX_SECONDS = 600  # seconds; the sign-ups are stopped after the reads


@dataclass(frozen=True)
class Writers:
    """Clients that sign up; `p99_ms` is the limit for concurrent reads, if there is one."""

    title: str
    clients: int
    p99_ms: float | None = None
    ignores_retry_after: bool = False


@dataclass(frozen=True)
class Round:
    """The results of both generators; `cores` is how many the sign-ups' generator kept busy."""

    reads: dict[str, Any]
    sign_ups: dict[str, float]
    cores: float

    def per_second(self, name: str) -> float:
        """Returns sign-ups per second that were `created` or got `unavailable`."""
        return self.sign_ups[name] / self.sign_ups["seconds"]


@dataclass(frozen=True)
class MixedLoad:
    """A running service under load: `rate` reads per second, for `seconds`."""

    stack: Stack
    folder: Path
    rate: float
    seconds: float

    def add_readers(self) -> None:
        """Creates the people to read, with their profiles in Redis, and a file of tokens."""
        env = self.stack.environment()
        readers = insert(env["DATABASE_URL"], env["SECRET_KEY"], _READERS)
        (self.folder / "tokens").write_text("\n".join(person.token for person in readers))
        manage = [sys.executable, str(ROOT / "manage.py"), "profiles", "rebuild"]
        log = self.folder / "rebuild.log"
        Process("rebuild", with_server_python(manage), log, env=env).run(_REBUILD_TIMEOUT)

    def read(self) -> dict[str, Any]:
        """Reads; returns the generator's results. Raises `StackError` if it fails."""
        out = self.folder / "reads.json"
        argv = [sys.executable, "-m", "loadtests.bench.paced_reads", f"--port={self.stack.port}"]
        argv += [f"--tokens={self.folder / 'tokens'}", f"--out={out}"]
        argv += [f"--rate={self.rate}", f"--seconds={self.seconds}"]
        Process("reads", argv, self.folder / "reads.log").run(self.seconds + _END_TIMEOUT)
        results: dict[str, Any] = json.loads(out.read_text())
        return results

    def read_during_sign_ups(self, clients: Writers) -> Round:
        """Reads while clients sign up. Raises `StackError` if a generator fails."""
        argv = [sys.executable, "-m", "loadtests.bench.writers", f"--port={self.stack.port}"]
        argv += [f"--bodies={self._write_bodies()}", f"--clients={clients.clients}"]
        argv += [
            f"--seconds={_MAX_SECONDS}",
            *["--ignore-retry-after"] * clients.ignores_retry_after,
        ]
        with Process("sign-ups", argv, self.folder / "sign-ups.log") as generator:
            writers.wait_until_ready(generator)
            started_at, cpu = time.monotonic(), resource_usage.cpu_seconds([generator.pid])
            reads = self.read()
            cpu = resource_usage.cpu_seconds([generator.pid]) - cpu
            cores = cpu / (time.monotonic() - started_at)
            generator.stop()
            sign_ups = json.loads(generator.log_tail(1))
        return Round(reads, sign_ups, cores)

    def _write_bodies(self) -> Path:
        """Writes a file of bodies with new addresses: known ones cause other work."""
        bodies = self.folder / "bodies"
        count = round(self.seconds * _MAX_SIGN_UPS)
        bodies.write_text("\n".join(json.dumps(sign_up_payload()) for _ in range(count)))
        return bodies
