"""Mixed load: reads at a constant rate while clients sign up in a closed loop.

The whole service runs as `make run` starts it, workers and relay included, and shares this
machine's cores with both generators.
"""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from loadtests import ISOLATED_ENV
from loadtests.bench.config import Config
from loadtests.bench.mixed_load import MixedLoad, Round, Writers
from loadtests.bench.paired_rounds import Target, ratio, run_interleaved
from loadtests.bench.report import Section, table
from loadtests.bench.servers import server_commands
from loadtests.percentiles import percentile
from local.stack import Stack

_RATE = 200  # reads per second
_P50_MS = 1.0  # the limit for reads during any sign-ups
_GOODPUT = 0.9  # sign-ups per second with many clients, divided by that with few
_FEW = Writers("64 clients", 64, p99_ms=5.0)
_MANY = Writers("1,500 clients", 1_500, p99_ms=15.0)
_IGNORING_RETRY_AFTER = Writers("1,500 that ignore Retry-After", 1_500, ignores_retry_after=True)
_HEADINGS = ["during sign-ups of", "p50 ms", "p99 ms", "max ms", "failed", "lag p99 ms"]
_HEADINGS += ["sign-ups/s", "503s/s", "failed", "their p50 ms", "their cores"]
_NOTES = [
    "Reads: counted from the moment that each was due, over all rounds; lag is by how much their",
    "generator itself was late. Sign-ups: 201s a second, and p50 of those; a client sends again",
    "when it has its response, and after a 503 waits as long as Retry-After says.",
]


def run(config: Config, folder: Path) -> list[Section]:
    """Measures reads alone, then in interleaved rounds with few and many clients that sign up."""
    loads = [_FEW, _MANY, _IGNORING_RETRY_AFTER]
    with Stack(folder / "data", env=ISOLATED_ENV, commands=server_commands) as stack:
        load = MixedLoad(stack, folder, _RATE, config.mixed_load_seconds)
        load.add_readers()
        load.read_during_sign_ups(_FEW)  # to warm up
        baseline = load.read()
        measured = run_interleaved(loads, config.mixed_load_rounds, load.read_during_sign_ups)
    results = dict(zip(loads, measured, strict=True))
    rows = [["none", *_latencies([baseline]), "", "", "", "", ""]]
    rows += [_row(writers, rounds) for writers, rounds in results.items()]
    note = (
        f"The reads' generator has {baseline['priority']}, that of the sign-ups a nice value of 10."
    )
    return [
        Section(
            f"Reads at {_RATE} per second on one connection, while clients sign up in a closed"
            f" loop: {config.mixed_load_rounds} rounds of {config.mixed_load_seconds:g} s",
            [*table(_HEADINGS, rows), "", *_NOTES, note],
            _targets(results),
            {writers.title: [asdict(one) for one in rounds] for writers, rounds in results.items()},
        )
    ]


def _row(writers: Writers, rounds: list[Round]) -> list[str]:
    created, unavailable = (
        median(one.per_second(name) for one in rounds) for name in ("created", "unavailable")
    )
    p50 = median(one.sign_ups["p50_ms"] for one in rounds)
    cores = median(one.cores for one in rounds)
    failed = sum(one.sign_ups["failed"] for one in rounds)
    cells = [f"{created:,.0f}", f"{unavailable:,.0f}", f"{failed:,.0f}", f"{p50:,.0f}"]
    return [writers.title, *_latencies([one.reads for one in rounds]), *cells, f"{cores:.2f}"]


def _latencies(reads: list[dict[str, Any]]) -> list[str]:
    latencies = _concatenate(reads, "latencies_ms")
    p50, p99, maximum = (percentile(latencies, quantile) for quantile in (0.5, 0.99, 1.0))
    failed = sum(one["failed"] for one in reads)
    return [f"{p50:.2f}", f"{p99:.2f}", f"{maximum:.2f}", str(failed), f"{_lag(reads):.2f}"]


def _lag(reads: list[dict[str, Any]]) -> float:
    # Empty if every read was sent late because of the one before it.
    return percentile(_concatenate(reads, "schedule_lag_ms") or [0.0], 0.99)


def _targets(results: dict[Writers, list[Round]]) -> list[Target]:
    targets = []
    for writers, rounds in results.items():
        latencies = _concatenate((one.reads for one in rounds), "latencies_ms")
        if writers.p99_ms is not None:
            for label, quantile, limit in (("p50", 0.5, _P50_MS), ("p99", 0.99, writers.p99_ms)):
                name = f"reads during sign-ups of {writers.title}: {label}"
                targets.append(Target(name, percentile(latencies, quantile), limit, " ms"))
    few, many = (
        [one.per_second("created") for one in results[writers]] for writers in (_FEW, _MANY)
    )
    name = f"sign-ups a second: {_MANY.title}, to {_FEW.title}"
    return [*targets, Target(name, ratio(many, few).median, _GOODPUT, at_least=True)]


def _concatenate(reads: Iterable[dict[str, Any]], name: str) -> list[float]:
    return [ms for one in reads for ms in one[name]]
