"""Reads at a constant rate during outages of the write side, while clients keep signing up."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest

from local.processes import Process
from local.stack import Stack
from tests.support.client import (
    ApiClient,
    read_process,
    sign_up_payload,
    socket_path,
    write_process,
)
from tests.support.faults import resume, suspend

RATE = 1_000  # reads a second
LIMIT_MS = 10.0
NOISE = 3.0  # tolerated factor compared with the measurement right before


class Service:
    """A read process with its own write process."""

    def __init__(self, stack: Stack, write: Process, url: str, tokens: Path) -> None:
        self.stack, self.write, self.url = stack, write, url
        self._tokens = tokens

    def reads(self, seconds: float) -> dict[str, float]:
        """Reads, each counted from the moment at which it is due: p99_ms, failed, ..."""
        command = [sys.executable, "-m", "loadtests.bench.generator", "reads"]
        command += ["--rate", str(RATE), "--port", self.url.rpartition(":")[2]]
        command += ["--lines", str(self._tokens), "--connections", "8", "--seconds", str(seconds)]
        done = subprocess.run(command, check=True, capture_output=True, timeout=seconds + 60)
        result: dict[str, float] = json.loads(done.stdout)
        return result

    @contextmanager
    def sign_ups(self) -> Iterator[None]:
        """Signs up continuously until the end of the block, whatever the response."""
        stopped = threading.Event()

        def keep_signing_up() -> None:
            with httpx.Client(base_url=self.url, timeout=30) as client:
                while not stopped.wait(0.05):
                    client.post("/api/v1/signup/", json=sign_up_payload())

        with ThreadPoolExecutor(4) as pool:
            clients = [pool.submit(keep_signing_up) for _ in range(4)]
            try:
                yield
            finally:
                stopped.set()
        for client in clients:
            client.result()


@pytest.fixture(scope="module")
def service(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    tokens = tmp_path_factory.mktemp("outages") / "tokens"
    with httpx.Client(base_url=stack.url, timeout=20) as client:
        people = [ApiClient(client).sign_up() for _ in range(10)]
    tokens.write_text("".join(f"{person.token}\n" for person in people))
    with (
        write_process(stack) as (write, write_url),
        read_process(stack, WRITE_UPSTREAM=f"unix:{socket_path(write_url)}") as (_, url),
    ):
        yield Service(stack, write, url, tokens)


@contextmanager
def hung_postgres(service: Service) -> Iterator[None]:
    suspend(service.stack.services["postgres"])
    try:
        yield
    finally:
        resume(service.stack.services["postgres"])


@contextmanager
def killed_write_process(service: Service) -> Iterator[None]:
    service.write.kill()
    try:
        yield
    finally:
        service.write.start()


@pytest.mark.parametrize("outage", [hung_postgres, killed_write_process])
def test_reads_are_unaffected_by_outages_of_the_write_side(
    service: Service, outage: Callable[[Service], AbstractContextManager[None]], scale: int
):
    for _ in range(3):  # the machine may have been busy
        control = service.reads(1.0 * scale)
        with outage(service), service.sign_ups():
            during = service.reads(2.0 * scale)
        assert during["failed"] == 0
        if during["p99_ms"] < max(LIMIT_MS, NOISE * control["p99_ms"]):
            return
    raise AssertionError(f"p99 {during['p99_ms']} ms, and {control['p99_ms']} ms before")
