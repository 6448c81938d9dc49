"""The knee: the highest read rate with a p99 below the limit.

Two read processes, Redis and the generator share the machine's cores. The number of connections,
each in a closed loop, is raised until further ones only add waiting time.
"""

from dataclasses import asdict
from pathlib import Path
from statistics import median

from loadtests.bench.config import Config
from loadtests.bench.fixtures import new_dataset
from loadtests.bench.load import measure
from loadtests.bench.paired_rounds import Target
from loadtests.bench.report import Section, table
from loadtests.bench.servers import rollcall

_RATE = 50_000  # reads per second
_P99_LIMIT_MS = 10.0
_CONNECTIONS = (4, 8, 16, 32, 64)
_ROUNDS = 3


def run(config: Config, folder: Path) -> list[Section]:
    """Loads two read processes with increasing numbers of connections, repeatedly."""
    with new_dataset(config.people, folder, pinned=False) as dataset:
        server = rollcall(dataset, folder, workers=2)
        try:
            server.start()
            measure(server, config.knee_seconds, folder)  # to warm up
            rounds = [
                [
                    measure(server, config.knee_seconds, folder, connections=connections)
                    for connections in _CONNECTIONS
                ]
                for _ in range(_ROUNDS)
            ]
        finally:
            server.process.stop()
    steps = list(zip(*rounds, strict=True))
    rates = [median(sample.reads_per_second for sample in step) for step in steps]
    p50s = [median(sample.p50_ms for sample in step) for step in steps]
    p99s = [median(sample.p99_ms for sample in step) for step in steps]
    knee = max(
        (rate for rate, p99 in zip(rates, p99s, strict=True) if p99 < _P99_LIMIT_MS), default=0.0
    )
    rows = [
        [str(connections), f"{rate:,.0f}", f"{p50:.2f}", f"{p99:.2f}"]
        for connections, rate, p50, p99 in zip(_CONNECTIONS, rates, p50s, p99s, strict=True)
    ]
    title = f"The knee: two web processes; medians of {_ROUNDS} rounds of {config.knee_seconds:g} s"
    return [
        Section(
            title,
            table(["connections", "reads/s", "p50 ms", "p99 ms"], rows),
            [
                Target(
                    f"knee: reads a second with p99 < {_P99_LIMIT_MS:g} ms",
                    knee,
                    _RATE,
                    at_least=True,
                )
            ],
            {"rounds": [[asdict(sample) for sample in each] for each in rounds]},
        )
    ]
