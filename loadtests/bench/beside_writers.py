"""Reads at a constant rate, while clients sign people up without pause.

The whole service runs as `make run` starts it, workers and relay included; all of it shares this
machine's cores with both generators.
"""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from loadtests import ITS_OWN
from loadtests.bench.mixed_load import MixedLoad, Round, Writers
from loadtests.bench.pairing import Target, interleaved, ratio
from loadtests.bench.report import Section, table
from loadtests.bench.scale import Scale
from loadtests.bench.servers import server_commands
from loadtests.report import percentile
from local.stack import Stack

_RATE = 200  # reads a second
_P50_MS = 1.0  # the limit for reads, beside whomever
_GOODPUT = 0.9  # of the sign-ups, with many clients to that with few
_FEW = Writers("64 clients", 64, p99_ms=5.0)
_MANY = Writers("1,500 clients", 1_500, p99_ms=15.0)
_IMPATIENT = Writers("1,500 that ignore Retry-After", 1_500, impatient=True)
_HEADINGS = ["beside", "p50 ms", "p99 ms", "max ms", "failed", "lag p99 ms"]
_HEADINGS += ["sign-ups/s", "503s/s", "failed", "their p50 ms", "their cores"]
_NOTES = [
    "Reads: counted from the moment that each was due, over all rounds; lag is by how much their",
    "generator itself was late. Sign-ups: 201s a second, and p50 of those; a client sends again",
    "when it has its response, and after a 503 waits as long as Retry-After says.",
]


def run(scale: Scale, folder: Path) -> list[Section]:
    """Reads alone, then in turns beside few clients and beside many."""
    loads = [_FEW, _MANY, _IMPATIENT]
    with Stack(folder / "data", env=ITS_OWN, commands=server_commands) as stack:
        load = MixedLoad(stack, folder, _RATE, scale.beside_seconds)
        load.add_readers()
        load.read_beside(_FEW)  # to warm up
        alone = load.read()
        rounds = interleaved(loads, scale.beside_rounds, load.read_beside)
    results = dict(zip(loads, rounds, strict=True))
    rows = [["nobody", *_latencies([alone]), "", "", "", "", ""]]
    rows += [_row(writers, own) for writers, own in results.items()]
    note = f"The reads' generator has {alone['priority']}, that of the sign-ups a nice value of 10."
    return [
        Section(
            f"Reads at {_RATE} a second on one connection, beside clients that sign up without"
            f" pause: {scale.beside_rounds} rounds of {scale.beside_seconds:g} s",
            [*table(_HEADINGS, rows), "", *_NOTES, note],
            _targets(results),
            {writers.title: [asdict(one) for one in own] for writers, own in results.items()},
        )
    ]


def _row(writers: Writers, rounds: list[Round]) -> list[str]:
    created, unavailable = (
        median(one.per_second(name) for one in rounds) for name in ("created", "unavailable")
    )
    p50 = median(one.sign_ups["p50_ms"] for one in rounds)
    cores = median(one.cores for one in rounds)
    failed = sum(one.sign_ups["failed"] for one in rounds)
    figures = [f"{created:,.0f}", f"{unavailable:,.0f}", f"{failed:,.0f}", f"{p50:,.0f}"]
    return [writers.title, *_latencies([one.reads for one in rounds]), *figures, f"{cores:.2f}"]


def _latencies(reads: list[dict[str, Any]]) -> list[str]:
    latencies = _all(reads, "latencies_ms")
    p50, p99, longest = (percentile(latencies, share) for share in (0.5, 0.99, 1.0))
    failed = sum(one["failed"] for one in reads)
    return [f"{p50:.2f}", f"{p99:.2f}", f"{longest:.2f}", str(failed), f"{_lag(reads):.2f}"]


def _lag(reads: list[dict[str, Any]]) -> float:
    # There is none if no read was ever sent in time, because of the one before it.
    return percentile(_all(reads, "schedule_lag_ms") or [0.0], 0.99)


def _targets(results: dict[Writers, list[Round]]) -> list[Target]:
    targets = []
    for writers, rounds in results.items():
        latencies = _all((one.reads for one in rounds), "latencies_ms")
        if writers.p99_ms is not None:
            for name, share, limit in (("p50", 0.5, _P50_MS), ("p99", 0.99, writers.p99_ms)):
                what = f"reads beside {writers.title} that sign up: {name}"
                targets.append(Target(what, percentile(latencies, share), limit, " ms"))
    few, many = (
        [one.per_second("created") for one in results[writers]] for writers in (_FEW, _MANY)
    )
    what = f"sign-ups a second: {_MANY.title}, to {_FEW.title}"
    return [*targets, Target(what, ratio(many, few).median, _GOODPUT, at_least=True)]


def _all(reads: Iterable[dict[str, Any]], name: str) -> list[float]:
    return [ms for one in reads for ms in one[name]]
