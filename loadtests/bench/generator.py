"""Our own load generator, a program: raw HTTP/1.1 on kept-alive connections, on uvloop.

Without --rate each connection sends its next request when it has its answer. With --rate requests
are due at random moments (a Poisson process) whatever the server does, and a latency is counted
from that moment: also the time for which no connection was free, and our own lateness.

Prints one line of JSON: requests, seconds, failed, p50_ms, p99_ms. SIGTERM ends it before its time.
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

from loadtests.bench.wire import complete_head
from loadtests.report import percentile
from local.machine import HOST

_TICK = 0.001  # seconds between two looks at what is due
_DRAIN_TIMEOUT = 2.0  # seconds for the last responses


def reads(lines: list[str]) -> Iterator[bytes]:
    """Requests for profiles, each for the token in a line drawn at random."""
    encoded = [line.encode() for line in lines]
    head = f"GET /api/v1/profile/ HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer ".encode()
    while True:
        yield b"%b%b\r\n\r\n" % (head, random.choice(encoded))


def sign_ups(lines: list[str]) -> Iterator[bytes]:
    """Requests that sign up the body in each line, one after the other; again when all are."""
    head = f"POST /api/v1/signup/ HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json"
    bodies = [line.encode() for line in lines]
    for body in itertools.cycle(bodies):
        yield b"%b\r\nContent-Length: %d\r\n\r\n%b" % (head.encode(), len(body), body)


class Connection(asyncio.Protocol):
    """One request at a time, and its answer."""

    def __init__(
        self,
        answered: Callable[["Connection", bool], None],
        lost: Callable[["Connection"], None],
    ) -> None:
        self.due: float | None = None  # of the request that has no answer yet
        self._answered = answered
        self._lost = lost
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def send(self, request: bytes, due: float) -> None:
        """Send a request, which was due then."""
        assert self._transport is not None  # noqa: S101  # told to the type checker
        self.due = due
        self._transport.write(request)

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    @override
    def data_received(self, data: bytes) -> None:
        self._received += data
        if (head := complete_head(self._received)) is not None:
            self._received = b""
            self._answered(self, head[9:10] == b"2")

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(self)


class Load:
    """One load, from its first request to its last answer. `latencies` are in seconds."""

    def __init__(self, requests: Iterator[bytes], seconds: float, rate: float | None) -> None:
        self.latencies: list[float] = []
        self.failed = 0
        self._requests = requests
        self._seconds = seconds
        self._rate = rate
        self._loop = asyncio.get_running_loop()
        self._free: deque[Connection] = deque()
        self._due: deque[float] = deque()
        self._begin = self._next = self._end = 0.0
        self._stopped = asyncio.Event()

    async def run(self, port: int, connections: int) -> None:
        """Do it. Raises OSError if there is nobody to connect to."""
        for _ in range(connections):
            made = await self._loop.create_connection(
                lambda: Connection(self._answered, self._lost), HOST, port
            )
            self._free.append(made[1])
        everybody = list(self._free)
        self._begin = self._next = time.monotonic()
        self._end = self._begin + self._seconds
        if self._rate is None:
            self._due.extend([self._next] * connections)
        self._tick()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), self._seconds)
        self._end = min(self._end, time.monotonic())
        last = time.monotonic() + _DRAIN_TIMEOUT
        while self._waiting(everybody) and time.monotonic() < last:
            await asyncio.sleep(_TICK)
        # Who is still without an answer counts with the time until now, and as a failure.
        now = time.monotonic()
        unanswered = self._waiting(everybody)
        self.failed += len(unanswered)
        self.latencies += [now - due for due in unanswered]

    @property
    def seconds(self) -> float:
        """How long requests were sent, once they were."""
        return self._end - self._begin

    def stop(self) -> None:
        """Send no more requests."""
        self._stopped.set()

    def _waiting(self, everybody: list[Connection]) -> list[float]:
        """When the requests were due that have no answer."""
        return [c.due for c in everybody if c.due is not None] + list(self._due)

    def _tick(self) -> None:
        now = time.monotonic()
        while self._rate is not None and self._next <= min(now, self._end):
            self._due.append(self._next)
            self._next += random.expovariate(self._rate)
        while self._due and self._free:
            self._free.popleft().send(next(self._requests), self._due.popleft())
        if now < self._end:
            self._loop.call_later(_TICK, self._tick)

    def _answered(self, connection: Connection, well: bool) -> None:
        now = time.monotonic()
        if connection.due is not None:
            self.latencies.append(now - connection.due)
            connection.due = None
        self.failed += not well
        if self._due:
            connection.send(next(self._requests), self._due.popleft())
        elif self._rate is None and now < self._end:
            connection.send(next(self._requests), now)
        else:
            self._free.append(connection)

    def _lost(self, connection: Connection) -> None:
        """A connection that broke is not made again; its request stays without an answer."""
        if connection in self._free:
            self._free.remove(connection)


async def _run(options: argparse.Namespace) -> None:
    kinds = {"reads": reads, "sign-ups": sign_ups}
    lines = options.lines.read_text().splitlines()[: options.first]
    load = Load(kinds[options.kind](lines), options.seconds, options.rate)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, load.stop)
    gc.freeze()
    gc.disable()  # it would stop us for milliseconds, which count as the server's
    await load.run(options.port, options.connections)
    p50, p99 = (percentile(load.latencies, share) * 1000 for share in (0.5, 0.99))
    figures = {"requests": len(load.latencies), "seconds": load.seconds, "failed": load.failed}
    print(json.dumps({**figures, "p50_ms": p50, "p99_ms": p99}))


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench.generator")
    parser.add_argument("kind", choices=["reads", "sign-ups"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--lines", type=Path, required=True, help="tokens, or bodies")
    parser.add_argument("--first", type=int, help="take only so many lines")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=float, help="requests a second")
    uvloop.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
