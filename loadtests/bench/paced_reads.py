"""A program: reads profiles at a constant rate on one connection, with precise latencies.

A request is due every 1/rate seconds, whatever the server does, and its latency counts from then:
it includes the time for which the previous response kept the connection busy (no coordinated
omission). It uses blocking system calls instead of an event loop.

It runs at raised priority (see `loadtests.priority`): on a busy machine it would otherwise measure
its own wake-up latency. `schedule_lag_ms` is how late it was woken all the same, when it did not
wait for a response. It uses some hundredths of a core.

Writes JSON to --out: latencies_ms, schedule_lag_ms, failed, priority.
"""

import argparse
import gc
import json
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

from loadtests.http_client import Connection, Origin
from loadtests.priority import raise_priority
from local.tcp_ports import HOST

_HEAD = f"GET /api/v1/profile/ HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer ".encode()
_MAX_LATENESS = 10.0  # seconds after the end for which due requests are still sent


@dataclass
class Results:
    """Times are in seconds; `failed` counts all responses but 200, and broken connections."""

    latencies: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    failed: int = 0


def run(connection: Connection, tokens: list[str], rate: float, seconds: float) -> Results:
    """Reads at that rate for so many seconds. What cannot be sent until a little later, because
    of the responses before, fails, with the time until then for a latency.
    """
    results = Results()
    started_at = time.monotonic() + 1 / rate
    end = started_at + seconds + _MAX_LATENESS
    for due in [started_at + number / rate for number in range(round(rate * seconds))]:
        token = random.choice(tokens)
        if (delay := due - time.monotonic()) > 0:
            time.sleep(delay)
            results.lags.append(time.monotonic() - due)
        results.failed += not (time.monotonic() < end and _read(connection, token))
        results.latencies.append(time.monotonic() - due)
    return results


def _read(connection: Connection, token: str) -> bool:
    """Returns whether the profile was read: a 200."""
    try:
        return connection.request(b"%b%b\r\n\r\n" % (_HEAD, token.encode()))[0] == 200
    except OSError:
        return False


def main() -> None:
    """Runs the reads that the command line describes."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench.paced_reads")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tokens", type=Path, required=True, help="a file with a token a line")
    parser.add_argument("--rate", type=float, default=200, help="requests a second")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    connection = Connection(Origin("http", HOST, options.port))
    tokens = options.tokens.read_text().split()
    gc.freeze()
    gc.disable()
    priority = raise_priority()
    results = run(connection, tokens, options.rate, options.seconds)
    result = {
        "latencies_ms": [round(seconds * 1000, 3) for seconds in results.latencies],
        "schedule_lag_ms": [round(seconds * 1000, 3) for seconds in results.lags],
        "failed": results.failed,
        "priority": priority,
    }
    options.out.write_text(json.dumps(result))


if __name__ == "__main__":
    main()
