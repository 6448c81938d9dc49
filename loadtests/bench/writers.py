"""A program: clients that sign up in a closed loop, each on its own connection.

A client sends its next request when it has its response. After a 503 it waits for Retry-After (RFC
9110 section 10.2.3), plus or minus half of it, so that the retries are spread; with
--ignore-retry-after it retries immediately. A closed connection is reopened.

The requests are prepared, and only status and length of a response are parsed, so that the
generator costs little compared with the server; its priority is lower. SIGTERM stops it early.
Prints "ready" once all clients are connected, and finally one line of JSON about the time since:
created (201s), unavailable (503s), failed (all others), seconds, p50_ms and p99_ms of the 201s.
"""

import argparse
import asyncio
import gc
import json
import math
import random
import re
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast, override

import uvloop

from loadtests.bench.generator import sign_ups
from loadtests.http_client import complete_response
from loadtests.percentiles import percentile
from loadtests.priority import lower_priority
from local.processes import Process, StackError
from local.tcp_ports import HOST

READY = "ready"
_START_TIMEOUT = 30.0  # seconds
_RETRY_AFTER = re.compile(rb"\r\nretry-after: *(\d+)", re.IGNORECASE)
_RECONNECT = 0.1  # seconds before reconnecting
_SPREAD = (0.5, 1.5)


@dataclass
class Load:
    """The shared state of all clients: requests, stop flag, and results. Times are in seconds."""

    host: str
    port: int
    requests: Iterator[bytes]
    ignores_retry_after: bool
    created: int = 0
    unavailable: int = 0
    failed: int = 0
    latencies: list[float] = field(default_factory=list)
    stopped: bool = False


class Client(asyncio.Protocol):
    """One client: one connection at a time, and one request at a time on it."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._sent_at = 0.0
        self._waiting = False  # for a response

    async def connect(self) -> None:
        """Connects, which sends the first request; retries until it succeeds."""
        while not self._load.stopped:
            try:
                await self._loop.create_connection(lambda: self, self._load.host, self._load.port)
            except OSError:
                self._load.failed += 1
                await asyncio.sleep(_RECONNECT)
            else:
                return

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        if self._load.stopped or self._waiting:
            return
        if self._transport is None or self._transport.is_closing():
            self._loop.create_task(self.connect())
            return
        self._waiting, self._received = True, b""
        self._sent_at = time.monotonic()
        self._transport.write(next(self._load.requests))

    @override
    def data_received(self, data: bytes) -> None:
        self._received += data
        response = complete_response(self._received)
        if self._waiting and response is not None:
            self._waiting = False
            self._on_response(response[0])

    def _on_response(self, head: bytes) -> None:
        load, status = self._load, head[9:12]
        if load.stopped:
            return
        if status == b"201":
            load.created += 1
            load.latencies.append(time.monotonic() - self._sent_at)
        elif status == b"503":
            load.unavailable += 1
            if not load.ignores_retry_after:
                after = _RETRY_AFTER.search(head)
                seconds = float(after[1]) if after else 1.0
                self._loop.call_later(seconds * random.uniform(*_SPREAD), self._send)
                return
        else:
            load.failed += 1
        self._send()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._waiting:  # else it was closed between two requests, and `_send` reconnects
            self._waiting = False
            self._load.failed += not self._load.stopped
            self._loop.call_later(_RECONNECT, self._send)


async def _run(options: argparse.Namespace) -> None:
    requests = sign_ups(options.bodies.read_text().splitlines(), options.host)
    load = Load(options.host, options.port, requests, options.ignore_retry_after)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    gc.freeze()
    gc.disable()
    for _ in range(options.clients):
        await Client(load).connect()
    print(READY, flush=True)
    load.created = load.unavailable = load.failed = 0
    load.latencies.clear()
    started_at = time.monotonic()
    with suppress(TimeoutError):
        await asyncio.wait_for(stopped.wait(), options.seconds)
    load.stopped = True
    seconds = time.monotonic() - started_at
    result = {"created": load.created, "unavailable": load.unavailable, "failed": load.failed}
    times = [percentile(load.latencies or [math.inf], quantile) * 1000 for quantile in (0.5, 0.99)]
    print(json.dumps({**result, "seconds": seconds, "p50_ms": times[0], "p99_ms": times[1]}))


def wait_until_ready(process: Process) -> None:
    """Returns once all clients of this program are connected. Raises `StackError` after 30 s."""
    deadline = time.monotonic() + _START_TIMEOUT
    while process.log_tail(1) != READY:
        if process.wait(0.05) or time.monotonic() > deadline:
            raise StackError(f"the clients that sign up did not start\n{process.log_tail()}")


def main() -> None:
    """Runs the clients that the command line describes."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench.writers")
    parser.add_argument("--host", default=HOST)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--bodies", type=Path, required=True, help="a file with a body a line")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--ignore-retry-after", action="store_true")
    options = parser.parse_args()
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    lower_priority()
    uvloop.run(_run(options))


if __name__ == "__main__":
    main()
