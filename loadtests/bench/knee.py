"""The knee: how many reads a second are still answered in time, whatever the moment they come.

Two web processes, Redis and the generator share the machine's cores, as they do in life.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from loadtests.bench.field import crowd_of
from loadtests.bench.load import CONNECTIONS, generate, ours
from loadtests.bench.pairing import Target
from loadtests.bench.report import Section, table
from loadtests.bench.scale import Scale
from loadtests.bench.servers import Server, rollcall

_RATE = 10_000  # reads a second
_IN_TIME = 10.0  # ms, of 99 in 100
_FIRST, _STEP, _STEPS = 2_000, 1.25, 20


@dataclass(frozen=True)
class Step:
    """One rate, in requests a second, and how it went."""

    wanted: float
    a_second: float
    p50_ms: float
    p99_ms: float
    failed: int

    @property
    def in_time(self) -> bool:
        return not self.failed and self.p99_ms < _IN_TIME


def run(scale: Scale, folder: Path) -> list[Section]:
    """Raise the rate until it is too much twice in a row: once may be the machine."""
    steps: list[Step] = []
    with crowd_of(scale.people, folder, pinned=False) as crowd:
        door = rollcall(crowd, folder, workers=2)
        try:
            door.start()
            _step(door, _FIRST, scale.knee_seconds, folder)  # to warm up
            rate = float(_FIRST)
            while len(steps) < _STEPS and (
                len(steps) < 2 or steps[-1].in_time or steps[-2].in_time
            ):
                steps.append(_step(door, rate, scale.knee_seconds, folder))
                rate *= _STEP
        finally:
            door.process.stop()
    knee = max((step.a_second for step in steps if step.in_time), default=0.0)
    rows = [
        [
            f"{s.wanted:,.0f}",
            f"{s.a_second:,.0f}",
            f"{s.p50_ms:.2f}",
            f"{s.p99_ms:.2f}",
            f"{s.failed}",
        ]
        for s in steps
    ]
    return [
        Section(
            f"The knee: {CONNECTIONS} connections, two web processes, latency from when a request"
            " is due",
            table(["reads a second", "were", "p50 ms", "p99 ms", "failed"], rows),
            [
                Target(
                    f"knee: reads a second with p99 < {_IN_TIME:g} ms", knee, _RATE, at_least=True
                )
            ],
            {"steps": [asdict(step) for step in steps]},
        )
    ]


def _step(door: Server, rate: float, seconds: float, folder: Path) -> Step:
    argv = ours("reads", door.port, door.crowd.tokens, rate=rate, seconds=seconds)
    told = generate(argv, seconds, folder)
    return Step(
        wanted=rate,
        a_second=told["requests"] / told["seconds"],
        p50_ms=told["p50_ms"],
        p99_ms=told["p99_ms"],
        failed=int(told["failed"]),
    )
