"""Reads at a constant rate beside a thousand hostile clients and ten thousand idle ones."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM

import pytest

from local.processes import Process
from local.stack import Stack
from tests.someone import eventually
from tests.support.read_server import ReadServer

# Long enough that an attack lasts for a measurement, short enough to wait for.
DEADLINES = {
    "KEEP_ALIVE_TIMEOUT": "12",
    "HEADERS_TIMEOUT": "4",
    "BODY_TIMEOUT": "8",
    "SEND_TIMEOUT": "4",
    "LINGER_TIMEOUT": "2",
}
ATTACK = {"idle": 10_000, "slow": 500, "deaf": 500}
ATTACK_ON_MEMORY = {"deaf-to-files": 100}
LIMIT_MS = 10.0
NOISE = 3.0  # how much slower than without an attack reads may be, on a machine that is busy itself
# 32 MiB of responses that are not sent yet, and 16 of 1.5 MB that arrive from the write process.
MEMORY_OF_FILES = 96 * 2**20
MEMORY = 64 * 2**20  # bytes that an attack may cost the process: 6 kB a connection


@dataclass
class Measured:
    """Reads without an attack and in one, what it costs in memory, and what is left of it."""

    control: dict[str, float]
    attacked: dict[str, float]
    memory: int
    remaining: int

    @property
    def is_unmoved(self) -> bool:
        limit = max(LIMIT_MS, NOISE * self.control["p99_ms"])
        return self.attacked["failed"] == 0 and self.attacked["p99_ms"] < limit


class Arena:
    """A read process, and who attacks it."""

    def __init__(self, server: ReadServer, folder: Path) -> None:
        self.server = server
        self._folder = folder
        self._tokens = folder / "tokens"
        self._tokens.write_text("".join(f"{person.token}\n" for person in server.people))

    def reads(self, seconds: float) -> dict[str, float]:
        """1,000 reads a second, each counted from the moment at which it is due."""
        command = [sys.executable, "-m", "loadtests.bench.generator", "reads", "--rate", "1000"]
        command += ["--port", str(self.server.port), "--lines", str(self._tokens)]
        command += ["--connections", "8", "--seconds", str(seconds)]
        done = subprocess.run(command, check=True, capture_output=True, timeout=seconds + 60)
        found: dict[str, float] = json.loads(done.stdout)
        return found

    def measure(self, kinds: dict[str, int], seconds: float) -> Measured:
        """Measure with so many attackers of these kinds."""
        control, before = self.reads(seconds), self.server.memory()
        with ExitStack() as stack:
            attackers = [stack.enter_context(self._attacker(*each)) for each in kinds.items()]
            eventually(lambda: len(self.server.connections()) >= sum(kinds.values()))
            eventually(lambda: all("attacking" in attacker.tail() for attacker in attackers))
            attacked, memory = self.reads(seconds), self.server.memory() - before
            for attacker in attackers:
                attacker.send(SIGTERM)  # it stays, and does nothing any more
            remaining = self.server.remaining(within=40)
        return Measured(control, attacked, memory, len(remaining))

    def _attacker(self, kind: str, count: int) -> Process:
        command = [sys.executable, "-m", "tests.support.attack", kind]
        command += ["--port", str(self.server.port), "--connections", str(count)]
        command += ["--tokens", str(self._tokens)]
        log = self._folder / f"{kind}.log"
        log.unlink(missing_ok=True)
        return Process(kind, command, log, stop_signal=SIGKILL)


@pytest.fixture(scope="module")
def arena(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    with ReadServer(stack, **DEADLINES) as server:
        yield Arena(server, tmp_path_factory.mktemp("attack"))


@pytest.fixture(scope="module")
def measured(arena: Arena, many: int) -> Measured:
    """One measurement; up to two more if the machine was too busy with other things."""
    for _ in range(3):
        found = arena.measure(ATTACK, 2.0 * many)
        if found.is_unmoved:
            break
    return found


def test_reads_are_as_fast_as_ever_while_clients_attack(measured: Measured):
    assert measured.is_unmoved


def test_what_an_attack_costs_in_memory_is_bounded(measured: Measured):
    assert measured.memory < MEMORY


def test_every_connection_of_an_attack_ends_within_its_deadline(measured: Measured):
    assert measured.remaining == 0


def test_large_responses_that_are_not_read_cost_little_memory_and_end_in_time(arena: Arena):
    measured = arena.measure(ATTACK_ON_MEMORY, 1.0)
    assert measured.memory < MEMORY_OF_FILES
    assert measured.remaining == 0
