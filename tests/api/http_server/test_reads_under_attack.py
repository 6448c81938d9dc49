"""Reads at a constant rate next to 1,000 idle and 100 hostile connections; with LONG=1, ten times
as many.
"""

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
from tests.conftest import LONG
from tests.support.client import wait_until
from tests.support.read_server import ReadServer

# Seconds. Long enough that an attack lasts for a measurement, short enough to wait for its end.
DEADLINES = {
    "KEEP_ALIVE_TIMEOUT": "12" if LONG else "6",
    "HEADERS_TIMEOUT": "4" if LONG else "3",
    "BODY_TIMEOUT": "8" if LONG else "4",
    "SEND_TIMEOUT": "4" if LONG else "3",
    "LINGER_TIMEOUT": "2" if LONG else "1",
}
ALL_DEADLINES = 40.0  # seconds
SCALE = 10 if LONG else 1
ATTACK = {"idle": 1_000 * SCALE, "slow": 50 * SCALE, "unread": 50 * SCALE}
FILE_ATTACK = {"unread-file": 100}  # of which the server ends some at once
P99_MS = 10.0
NOISE_FACTOR = 3.0  # tolerated factor between two measurements on a busy machine
# Bytes that an attack may use, including the kernel's buffers: 6 kB per connection.
MAX_MEMORY = 6.4 * 2**20 * SCALE
# 32 MB of responses that are not sent yet, 16 of 1.6 MB that arrive from the write process, and the
# kernel's buffers.
FILE_MEMORY = 112 * 2**20


@dataclass
class Measurement:
    """Reads without and during an attack, the memory of the attack, and the connections left after
    it.
    """

    control: dict[str, float]
    attacked: dict[str, float]
    memory: int
    remaining: int

    @property
    def is_unaffected(self) -> bool:
        limit = max(P99_MS, NOISE_FACTOR * self.control["p99_ms"])
        return self.attacked["failed"] == 0 and self.attacked["p99_ms"] < limit


class AttackedServer:
    """A read process and its attackers. `folder` is for logs."""

    def __init__(self, server: ReadServer, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._tokens = folder / "tokens"
        self._tokens.write_text("".join(f"{person.token}\n" for person in server.people))

    def measure(self, attack: dict[str, int], seconds: float) -> Measurement:
        """Measures with a number of connections of each kind (`tests.support.attack`)."""
        expected = 0 if attack is FILE_ATTACK else sum(attack.values())
        control, before = self._read(seconds), self._server.memory()
        with ExitStack() as stack:
            attackers = [stack.enter_context(self._attacker(*each)) for each in attack.items()]
            wait_until(lambda: all("attacking" in attacker.log_tail() for attacker in attackers))
            wait_until(lambda: len(self._server.connections()) >= expected)
            attacked, memory = self._read(seconds), self._server.memory() - before
            for attacker in attackers:
                attacker.send(SIGTERM)  # it keeps its connections and sends nothing more
            remaining = self._server.remaining(ALL_DEADLINES)
        return Measurement(control, attacked, memory, len(remaining))

    def _read(self, seconds: float) -> dict[str, float]:
        """Reads 1,000 times a second; latencies count from the moment at which a read is due."""
        command = [sys.executable, "-m", "loadtests.bench.generator", "reads", "--rate", "1000"]
        command += ["--port", str(self._server.port), "--lines", str(self._tokens)]
        command += ["--connections", "8", "--seconds", str(seconds)]
        done = subprocess.run(command, check=True, capture_output=True, timeout=seconds + 60)
        results: dict[str, float] = json.loads(done.stdout)
        return results

    def _attacker(self, kind: str, count: int) -> Process:
        command = [sys.executable, "-m", "tests.support.attack", kind]
        command += ["--port", str(self._server.port), "--connections", str(count)]
        command += ["--tokens", str(self._tokens)]
        log = self._folder / f"{kind}.log"
        log.unlink(missing_ok=True)
        return Process(kind, command, log, stop_signal=SIGKILL)


@pytest.fixture(scope="module")
def arena(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttackedServer]:
    with ReadServer(stack, **DEADLINES) as server:
        yield AttackedServer(server, tmp_path_factory.mktemp("attack"))


@pytest.fixture(scope="module")
def measurement(arena: AttackedServer, scale: int) -> Measurement:
    """Measures up to three times, in case other processes interfere."""
    for _ in range(3):
        result = arena.measure(ATTACK, 2.0 * scale)
        if result.is_unaffected:
            break
    return result


def test_read_latency_is_unaffected_by_an_attack(measurement: Measurement):
    assert measurement.is_unaffected


def test_memory_of_an_attack_is_bounded(measurement: Measurement):
    assert measurement.memory < MAX_MEMORY


def test_connections_of_an_attack_end_within_their_deadline(measurement: Measurement):
    assert measurement.remaining == 0


def test_unread_large_responses_use_bounded_memory_and_end(arena: AttackedServer):
    measurement = arena.measure(FILE_ATTACK, 1.0)
    assert measurement.memory < FILE_MEMORY
    assert measurement.remaining == 0
