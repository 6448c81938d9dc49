"""Whether a read costs the same however many people there are."""

from contextlib import ExitStack
from pathlib import Path
from statistics import median

from loadtests.bench.field import crowd_of, start, warm_up
from loadtests.bench.load import measure
from loadtests.bench.pairing import Target, interleaved, ratio
from loadtests.bench.report import Section, table
from loadtests.bench.scale import Scale
from loadtests.bench.servers import rollcall

_LIMIT = 1.1


def run(scale: Scale, folder: Path) -> list[Section]:
    """The same front door beside as many Redis as there are sizes, each in turn."""
    with ExitStack() as ends:
        crowds = [ends.enter_context(crowd_of(size, folder)) for size in scale.growth]
        doors = [rollcall(crowd, folder) for crowd in crowds]
        for door in doors:
            start(door, ends)
            warm_up(door, scale.warm_up, folder)
        samples = interleaved(
            doors, scale.rounds, lambda door: measure(door, scale.seconds, folder)
        )
    cpu = [[sample.server_us for sample in of_one] for of_one in samples]
    redis = [[sample.redis_us for sample in of_one] for of_one in samples]
    ratios = [ratio(of_one, cpu[0]) for of_one in cpu]
    memory = [crowd.redis_octets / crowd.body_octets for crowd in crowds]
    rows = [
        [f"{size:,} people", f"{median(c):.1f}", f"{median(r):.1f}", str(times), f"{octets:.2f}"]
        for size, c, r, times, octets in zip(scale.growth, cpu, redis, ratios, memory, strict=True)
    ]
    least, most = scale.growth[0], scale.growth[-1]
    what = f"growth: CPU a read, {most:,} people to {least:,}"
    return [
        Section(
            "Growth",
            table(["", "CPU µs", "Redis µs", "CPU, to the first", "memory to bodies"], rows),
            [Target(what, ratios[-1].median, _LIMIT)],
            {str(size): {"cpu": c} for size, c in zip(scale.growth, cpu, strict=True)},
        )
    ]
