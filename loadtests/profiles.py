"""The load profiles: what each one is for, its load, and its limits."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

KNEE_P99 = 10.0  # ms; above it the knee is passed


class Stage(NamedTuple):
    """A part of the load: for so many `seconds` at `rate` requests a minute."""

    seconds: float
    rate: float


class Metric(NamedTuple):
    """What a limit is for: its description, its unit, and how the measured value must compare."""

    description: str
    unit: str
    comparison: str


METRICS = {
    "read_p50": Metric("median latency of reads", "ms", "<"),
    "read_p99": Metric("99th percentile of reads", "ms", "<"),
    "read_p99.9": Metric("99.9th percentile of reads", "ms", "<"),
    "after_p99": Metric("99th percentile of reads after the spike", "ms", "<"),
    "sign_up_p99": Metric("99th percentile of sign-ups", "ms", "<"),
    "sign_up_max": Metric("slowest sign-up", "ms", "<"),
    "failures": Metric("requests without a right response", "requests", "<="),
    "rejected": Metric("responses that are neither right nor a 503", "requests", "<="),
    "first_read": Metric("first profile read after the flush", "s", "<"),
    "unavailable_until": Metric("last 503 after the flush", "s", "<"),
    "storm_failures": Metric("sign-ups of the storm that were neither a 201 nor a 503", "", "<="),
    "undelivered": Metric("open outbox entries 60 s after the load", "entries", "<="),
    "memory_growth": Metric("growth of Rollcall's processes after a quarter of the time", "%", "<"),
    "knee": Metric("highest rate before the knee", "requests a minute", ">="),
}


@dataclass(frozen=True)
class Profile:
    """A load, and the limits within which it passes, by metric.

    `writes`: the fraction of requests that are sign-ups. `storm`: how many more clients sign up in
    a closed loop. `flush`: whether the profile Redis is flushed at the start. `rising`: the load
    ends when two stages in succession are beyond the knee. `warm_up`: seconds at the first rate
    before, which are not measured. `people`: who have signed up before. `connections`: the most
    requests in flight, two thirds of them reads; what is due beyond that waits, and its latency
    counts the wait.
    """

    name: str
    aim: str
    stages: tuple[Stage, ...]
    limits: Mapping[str, float]
    writes: float = 0.1
    storm: int = 0
    flush: bool = False
    rising: bool = False
    warm_up: float = 5.0
    people: int = 10_000
    connections: int = 300

    @property
    def seconds(self) -> float:
        """The measured time."""
        return sum(stage.seconds for stage in self.stages)

    def with_load(
        self, seconds: float | None, rate: float | None, writes: float | None
    ) -> "Profile":
        """Returns it stretched to `seconds`, with all rates in proportion to a first `rate`, and
        `writes` percent of the requests sign-ups; None: as it is.
        """
        longer = seconds / self.seconds if seconds else 1
        faster = rate / self.stages[0].rate if rate else 1
        stages = tuple(Stage(each.seconds * longer, each.rate * faster) for each in self.stages)
        return replace(self, stages=stages, writes=self.writes if writes is None else writes / 100)


_STEADY = {"read_p50": 2, "read_p99": 5, "read_p99.9": 10, "failures": 0}
_SIGN_UPS = {"sign_up_p99": 50, "sign_up_max": 150, "undelivered": 0}

PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            "steady",
            "the load that the service is made for",
            (Stage(60, 3_500),),
            _STEADY | _SIGN_UPS,
        ),
        Profile(
            "peak",
            "ten times as much, all the time",
            (Stage(60, 35_000),),
            {"read_p50": 2, "read_p99": 10, "sign_up_p99": 500, "failures": 0, "undelivered": 0},
        ),
        Profile(
            "spike",
            "ten times as much for 30 seconds, and back",
            (Stage(15, 3_500), Stage(30, 35_000), Stage(15, 3_500)),
            {"read_p99": 10, "after_p99": 5, "sign_up_p99": 500, "failures": 0, "undelivered": 0},
        ),
        Profile(
            "soak",
            "the steady load for long: nothing grows, nothing slows down",
            (Stage(3_600, 3_500),),
            _STEADY | {"sign_up_p99": 50, "undelivered": 0, "memory_growth": 10},
        ),
        Profile(
            "signup-storm",
            "200 reads a second while 64 clients sign up without a pause",
            (Stage(60, 12_000),),
            {"read_p50": 1, "read_p99": 5, "failures": 0, "storm_failures": 0},
            writes=0,
            storm=64,
        ),
        Profile(
            "cold",
            "the steady load from the moment when the profile Redis is empty",
            (Stage(30, 3_500),),
            {"rejected": 0, "first_read": 1, "unavailable_until": 1, "undelivered": 0},
            flush=True,
            warm_up=0,
        ),
        Profile(
            "knee",
            f"rises by a quarter every 5 s until the p99 of reads is over {KNEE_P99:g} ms",
            tuple(Stage(2.5, 15_000 * 1.25 ** (step // 2)) for step in range(40)),
            {"knee": 35_000},
            rising=True,
            connections=600,
        ),
    )
}
