"""Reads at a constant rate and sign-ups without pause, both at once, on the whole service."""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.bench import usage, writers
from loadtests.bench.rebuild import insert
from loadtests.bench.tools import ROOT, with_server_python
from loadtests.people import new_body
from local.processes import LocalError, Process
from local.stack import Stack

_READERS = 10_000  # people whose profiles are read
_MAX_SIGN_UPS = 1_500  # a second, for which there are bodies
_START_TIMEOUT, _END_TIMEOUT, _REBUILD_TIMEOUT = 30.0, 60.0, 120.0
_LONGEST = 600  # seconds; the sign-ups are stopped when the reads are done


@dataclass(frozen=True)
class Writers:
    """Clients that sign up; `p99_ms` is the limit for reads beside them, if there is one."""

    title: str
    clients: int
    p99_ms: float | None = None
    impatient: bool = False


@dataclass(frozen=True)
class Round:
    """What both generators wrote, see there; `cores` is what that of the sign-ups kept busy."""

    reads: dict[str, Any]
    sign_ups: dict[str, float]
    cores: float

    def per_second(self, name: str) -> float:
        """How many sign-ups a second were `created`, or found the service `unavailable`."""
        return self.sign_ups[name] / self.sign_ups["seconds"]


@dataclass(frozen=True)
class MixedLoad:
    """A running service that is loaded: `rate` reads a second, for so many seconds."""

    stack: Stack
    folder: Path
    rate: float
    seconds: float

    def add_readers(self) -> None:
        """Makes the people who are read, with their profiles in Redis, and a file of tokens."""
        env = self.stack.environment()
        tokens = insert(env["DATABASE_URL"], env["SECRET_KEY"], _READERS)
        (self.folder / "tokens").write_text("\n".join(tokens))
        manage = [sys.executable, str(ROOT / "manage.py"), "profiles", "rebuild"]
        log = self.folder / "rebuild.log"
        Process("rebuild", with_server_python(manage), log, env=env).run(_REBUILD_TIMEOUT)

    def read(self) -> dict[str, Any]:
        """Reads; what the generator wrote. Raises LocalError if that fails."""
        out = self.folder / "reads.json"
        argv = [sys.executable, "-m", "loadtests.bench.paced_reads", f"--port={self.stack.port}"]
        argv += [f"--tokens={self.folder / 'tokens'}", f"--out={out}"]
        argv += [f"--rate={self.rate}", f"--seconds={self.seconds}"]
        Process("reads", argv, self.folder / "reads.log").run(self.seconds + _END_TIMEOUT)
        results: dict[str, Any] = json.loads(out.read_text())
        return results

    def read_beside(self, clients: Writers) -> Round:
        """Reads while these sign up. Raises LocalError if a generator fails."""
        argv = [sys.executable, "-m", "loadtests.bench.writers", f"--port={self.stack.port}"]
        argv += [f"--bodies={self._new_bodies()}", f"--clients={clients.clients}"]
        argv += [f"--seconds={_LONGEST}", *["--impatient"] * clients.impatient]
        with Process("sign-ups", argv, self.folder / "sign-ups.log") as generator:
            _await_ready(generator)
            began, cpu = time.monotonic(), usage.cpu_seconds([generator.pid])
            reads = self.read()
            cpu = usage.cpu_seconds([generator.pid]) - cpu
            cores = cpu / (time.monotonic() - began)
            generator.stop()
            sign_ups = json.loads(generator.tail(1))
        return Round(reads, sign_ups, cores)

    def _new_bodies(self) -> Path:
        """A file of bodies with addresses that nobody has: known ones make other work."""
        bodies = self.folder / "bodies"
        count = round(self.seconds * _MAX_SIGN_UPS)
        bodies.write_text("\n".join(json.dumps(new_body()) for _ in range(count)))
        return bodies


def _await_ready(generator: Process) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while generator.tail(1) != writers.READY:
        if generator.ended(0.05) or time.monotonic() > deadline:
            raise LocalError(f"the clients that sign up did not start\n{generator.tail()}")
