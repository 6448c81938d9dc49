"""Load generator, a program: raw HTTP/1.1 on kept-alive connections, on uvloop.

Without --rate each connection sends its next request when it has its response. With --rate requests
are due at random times (a Poisson process) whatever the server does, and latencies count from then:
they include the time for which no connection was free, and the generator's own lag.

Prints one line of JSON: requests, seconds, failed, p50_ms, p99_ms. SIGTERM stops it early.
"""

import argparse
import asyncio
import gc
import itertools
import json
import random
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import cast, override

import uvloop

from loadtests.http_client import complete_response
from loadtests.percentiles import percentile
from local.tcp_ports import HOST

_TICK = 0.001  # seconds between two checks of what is due
_DRAIN_TIMEOUT = 2.0  # seconds for the last responses


def reads(lines: list[str]) -> Iterator[bytes]:
    """Yields profile requests, each with the token of a random line."""
    encoded = [line.encode() for line in lines]
    head = f"GET /api/v1/profile/ HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer ".encode()
    while True:
        yield b"%b%b\r\n\r\n" % (head, random.choice(encoded))


def introspections(lines: list[str], key: str, more: str = "") -> Iterator[bytes]:
    """Yields introspections by the backend with that key, each of the token of a random line;
    `more` follows it in the form.
    """
    encoded = [line.encode() for line in lines]
    head = (
        f"POST /api/v1/introspect/ HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {key}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "
        f"{len('token=') + len(lines[0]) + len(more)}\r\n\r\ntoken="
    ).encode()
    while True:
        yield b"%b%b%b" % (head, random.choice(encoded), more.encode())


def sign_ups(lines: list[str], host: str = HOST) -> Iterator[bytes]:
    """Yields sign-ups with the body of each line, in order and repeatedly."""
    head = f"POST /api/v1/signup/ HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json"
    bodies = [line.encode() for line in lines]
    for body in itertools.cycle(bodies):
        yield b"%b\r\nContent-Length: %d\r\n\r\n%b" % (head.encode(), len(body), body)


class Connection(asyncio.Protocol):
    """Sends one request at a time."""

    def __init__(
        self,
        on_response: Callable[["Connection", bool], None],
        on_close: Callable[["Connection"], None],
    ) -> None:
        self.due_at: float | None = None  # of the request in progress
        self._on_response = on_response
        self._on_close = on_close
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def send(self, request: bytes, due_at: float) -> None:
        """Sends a request that was due at that time."""
        assert self._transport is not None  # noqa: S101  # for the type checker
        self.due_at = due_at
        self._transport.write(request)

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    @override
    def data_received(self, data: bytes) -> None:
        self._received += data
        if (response := complete_response(self._received)) is not None:
            self._received = b""
            self._on_response(self, response[0][9:10] == b"2")

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._on_close(self)


class Load:
    """One load, from its first request to its last response. `latencies` are in seconds."""

    def __init__(self, requests: Iterator[bytes], seconds: float, rate: float | None) -> None:
        self.latencies: list[float] = []
        self.failed = 0
        self._requests = requests
        self._seconds = seconds
        self._rate = rate
        self._loop = asyncio.get_running_loop()
        self._idle: deque[Connection] = deque()
        self._due_times: deque[float] = deque()
        self._started_at = self._next_due_at = self._ends_at = 0.0
        self._stopped = asyncio.Event()

    async def run(self, port: int, connections: int) -> None:
        """Runs the load. Raises `OSError` if nothing listens on the port."""
        for _ in range(connections):
            made = await self._loop.create_connection(
                lambda: Connection(self._on_response, self._on_close), HOST, port
            )
            self._idle.append(made[1])
        opened = list(self._idle)
        self._started_at = self._next_due_at = time.monotonic()
        self._ends_at = self._started_at + self._seconds
        if self._rate is None:
            self._due_times.extend([self._next_due_at] * connections)
        self._tick()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), self._seconds)
        self._ends_at = min(self._ends_at, time.monotonic())
        last = time.monotonic() + _DRAIN_TIMEOUT
        while self._get_unanswered(opened) and time.monotonic() < last:
            await asyncio.sleep(_TICK)
        # Unanswered requests count as failures, with the time until now as latency.
        now = time.monotonic()
        unanswered = self._get_unanswered(opened)
        self.failed += len(unanswered)
        self.latencies += [now - due_at for due_at in unanswered]

    @property
    def seconds(self) -> float:
        """For how long requests were sent."""
        return self._ends_at - self._started_at

    def stop(self) -> None:
        """Stops sending requests."""
        self._stopped.set()

    def _get_unanswered(self, connections: list[Connection]) -> list[float]:
        """Returns when the unanswered requests were due."""
        return [c.due_at for c in connections if c.due_at is not None] + list(self._due_times)

    def _tick(self) -> None:
        now = time.monotonic()
        while self._rate is not None and self._next_due_at <= min(now, self._ends_at):
            self._due_times.append(self._next_due_at)
            self._next_due_at += random.expovariate(self._rate)
        while self._due_times and self._idle:
            self._idle.popleft().send(next(self._requests), self._due_times.popleft())
        if now < self._ends_at:
            self._loop.call_later(_TICK, self._tick)

    def _on_response(self, connection: Connection, is_success: bool) -> None:
        now = time.monotonic()
        if connection.due_at is not None:
            self.latencies.append(now - connection.due_at)
            connection.due_at = None
        self.failed += not is_success
        if self._due_times:
            connection.send(next(self._requests), self._due_times.popleft())
        elif self._rate is None and now < self._ends_at:
            connection.send(next(self._requests), now)
        else:
            self._idle.append(connection)

    def _on_close(self, connection: Connection) -> None:
        """A broken connection is not reopened; its request stays unanswered."""
        if connection in self._idle:
            self._idle.remove(connection)


async def _run(options: argparse.Namespace) -> None:
    key = options.backend_key
    kinds: dict[str, Callable[[list[str]], Iterator[bytes]]] = {
        "reads": reads,
        "sign-ups": sign_ups,
        "introspections": lambda lines: introspections(lines, key),
        "introspections-with-claims": lambda lines: introspections(lines, key, "&claims=profile"),
    }
    lines = options.lines.read_text().splitlines()[: options.hot_set_size]
    load = Load(kinds[options.kind](lines), options.seconds, options.rate)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, load.stop)
    gc.freeze()
    gc.disable()  # its pauses of milliseconds would count as the server's latency
    await load.run(options.port, options.connections)
    p50, p99 = (percentile(load.latencies, quantile) * 1000 for quantile in (0.5, 0.99))
    result = {"requests": len(load.latencies), "seconds": load.seconds, "failed": load.failed}
    print(json.dumps({**result, "p50_ms": p50, "p99_ms": p99}))


def main() -> None:
    """Runs the load that the command line describes."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench.generator")
    parser.add_argument("kind")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--lines", type=Path, required=True, help="tokens, or bodies")
    parser.add_argument("--hot-set-size", type=int, help="use only the first lines")
    parser.add_argument("--backend-key", default="")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=float, help="requests per second")
    uvloop.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
