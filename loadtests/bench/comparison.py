"""One server compared with Rollcall: its table row, ratios and results."""

from dataclasses import asdict, dataclass
from functools import cached_property
from statistics import median
from typing import Any, ClassVar

from loadtests.bench.load import Measurement
from loadtests.bench.paired_rounds import Ratio, ratio
from loadtests.bench.servers import Server


@dataclass(frozen=True)
class Comparison:
    """The measurements of a server and of Rollcall in the same rounds."""

    HEADINGS: ClassVar[list[str]] = [
        "",
        "reads/s",
        "p50 ms",
        "p99 ms",
        "server",
        "Redis",
        "both",
        "MB",
        "Rollcall's both to its",
    ]

    server: Server
    rounds: list[Measurement]
    rollcall: list[Measurement]

    @cached_property
    def both(self) -> Ratio:
        """Rollcall's CPU per read divided by this server's, Redis included on both sides."""
        return ratio([one.both_us for one in self.rollcall], [one.both_us for one in self.rounds])

    @cached_property
    def alone(self) -> Ratio:
        """The same ratio without Redis."""
        own, theirs = self.rollcall, self.rounds
        return ratio([one.server_us for one in own], [one.server_us for one in theirs])

    def row(self) -> list[str]:
        """Returns its table row: medians over the rounds."""
        rate = median(one.reads_per_second for one in self.rounds)
        p50, p99 = (median(getattr(one, name) for one in self.rounds) for name in _LATENCIES)
        server, redis, both = (median(getattr(one, name) for one in self.rounds) for name in _CPU)
        memory = median(one.memory_mb for one in self.rounds)
        times = "" if self.server.name == "rollcall" else str(self.both)
        return [
            self.server.title,
            f"{rate:,.0f}",
            f"{p50:.2f}",
            f"{p99:.2f}",
            f"{server:.1f}",
            f"{redis:.1f}" if self.server.reads else "-",
            f"{both:.1f}" if self.server.reads else f"{server:.1f}",
            f"{memory:.0f}",
            times,
        ]

    def results(self) -> dict[str, Any]:
        """Returns the results for results.json."""
        return {
            "title": self.server.title,
            "ratio_both": asdict(self.both),
            "ratio_server": asdict(self.alone),
            "rounds": [asdict(one) for one in self.rounds],
        }


_LATENCIES = ("p50_ms", "p99_ms")
_CPU = ("server_us", "redis_us", "both_us")


def noise_note(comparisons: list[Comparison]) -> str:
    """Describes what else was busy during the rounds."""
    rounds = [one for comparison in comparisons for one in comparison.rounds]
    shared = max((one.generator_us + one.redis_us) * one.reads_per_second / 1e4 for one in rounds)
    others = median(one.background_cores for one in rounds)
    return (
        f"Generator and Redis, on a core of their own, kept it busy to at most {shared:.0f} %;"
        f" other programs of this machine used {others:.1f} cores. MB are Pss."
    )
