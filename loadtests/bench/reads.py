"""The read, beside its peers: keys at random, and people who read often."""

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from loadtests.bench import same
from loadtests.bench.field import crowd_of, start, warm_up
from loadtests.bench.load import CONNECTIONS, Sample, measure
from loadtests.bench.pairing import Ratio, Target, interleaved, ratio
from loadtests.bench.people import Crowd
from loadtests.bench.report import Section, table
from loadtests.bench.scale import Scale
from loadtests.bench.servers import PEERS, Server, rollcall
from loadtests.bench.tools import install_fastify

RANDOM, OFTEN = "keys at random", "people who read often"
# Section 8 of the design: what a read of Rollcall's may cost, to that of the peer.
_TARGETS = {
    RANDOM: {"fastify": 0.8, "fastapi": 1 / 6, "drf": 1 / 12},
    OFTEN: {"fastify": 0.6},
}
_MEMORY = 2.5
_HEADINGS = [
    "",
    "reads/s",
    "p50 ms",
    "p99 ms",
    "CPU µs",
    "Redis µs",
    "MB",
    "CPU, Rollcall's to its",
]


@dataclass(frozen=True)
class Compared:
    """One server in all rounds, and what Rollcall's read costs to its own, round by round."""

    server: Server
    samples: list[Sample]
    cpu: Ratio

    def row(self) -> list[str]:
        """Its line in the table: medians over the rounds."""
        columns = zip(
            *[(s.a_second, s.p50_ms, s.p99_ms, s.cpu, s.redis_cpu, s.memory_mb)
              for s in self.samples],
            strict=True,
        )  # fmt: skip  # one line tells what the columns are
        rate, p50, p99, cpu, redis, memory = map(median, columns)
        figures = [f"{rate:,.0f}", f"{p50:.2f}", f"{p99:.2f}", f"{cpu:.1f}", f"{redis:.1f}"]
        times = "" if self.server.name == "rollcall" else str(self.cpu)
        return [self.server.title, *figures, f"{memory:.0f}", times]


def run(scale: Scale, folder: Path, *, peers: bool = True) -> list[Section]:
    """Start everybody who is compared, and load each in turn."""
    if peers:
        install_fastify(folder)
    with ExitStack() as ends:
        crowd = ends.enter_context(crowd_of(scale.people, folder))
        everybody = [rollcall(crowd, folder)]
        everybody += [peer(crowd, folder) for peer in PEERS] if peers else []
        for server in everybody:
            start(server, ends)
        same.check(everybody)
        for server in everybody:
            warm_up(server, scale.warm_up, folder)
        at_random = _compare(everybody, scale, folder, None)
        often = _compare(everybody, scale, folder, scale.hot)
        return [
            _section(RANDOM, at_random, scale),
            _section(OFTEN, often, scale),
            memory(crowd),
        ]


def memory(crowd: Crowd) -> Section:
    """What the crowd takes in Redis."""
    times = crowd.redis_octets / crowd.body_octets
    a_person = crowd.redis_octets / crowd.people
    body = crowd.body_octets / crowd.people
    return Section(
        "Memory",
        [f"Redis grew by {a_person:.0f} octets a person, whose profile has {body:.0f}"],
        [Target("memory of Redis, to the bytes of the bodies", times, _MEMORY)],
        {"octets_a_person": a_person, "body_octets": body},
    )


def chart_groups(sections: list[Section]) -> dict[str, dict[str, float]]:
    """CPU a read in µs, by the kind of reads and the server; empty if nothing was compared."""
    return {
        kind: {
            one["title"]: median(sample["cpu"] for sample in one["rounds"])
            for one in section.figures.values()
        }
        for section in sections
        for kind in _TARGETS
        if kind in section.title
    }


def _compare(
    everybody: list[Server], scale: Scale, folder: Path, first: int | None
) -> list[Compared]:
    samples = interleaved(
        everybody, scale.rounds, lambda server: measure(server, scale.seconds, folder, first)
    )
    cpu = [[sample.cpu for sample in of_one] for of_one in samples]
    ratios = [ratio(cpu[0], of_one) for of_one in cpu]
    return [Compared(*found) for found in zip(everybody, samples, ratios, strict=True)]


def _section(kind: str, compared: list[Compared], scale: Scale) -> Section:
    limits = _TARGETS[kind]
    return Section(
        f"Profile reads, {kind}: {scale.people:,} people, {CONNECTIONS} connections, one process"
        f" each, {scale.rounds} rounds of {scale.seconds:g} s",
        [*table(_HEADINGS, [one.row() for one in compared]), "", conditions(compared)],
        [
            Target(f"{kind}: CPU, to {one.server.title}", one.cpu.median, limit)
            for one in compared
            if (limit := limits.get(one.server.name))
        ],
        {
            one.server.name: {
                "title": one.server.title,
                "cpu_ratio": asdict(one.cpu),
                "rounds": [asdict(sample) for sample in one.samples],
            }
            for one in compared
        },
    )


def conditions(compared: list[Compared]) -> str:
    """Whether the figures may be believed: what else was busy."""
    samples = [sample for one in compared for sample in one.samples]
    shared = max((s.load_cpu + s.redis_cpu) * s.a_second / 1e4 for s in samples)
    others = median(s.others for s in samples)
    return (
        f"Generator and Redis, on a core of their own, kept it busy to at most {shared:.0f} %;"
        f" other programs of this machine used {others:.1f} cores."
    )
