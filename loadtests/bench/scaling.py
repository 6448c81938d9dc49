"""How the cost of a read scales with the number of people."""

from contextlib import ExitStack
from pathlib import Path
from statistics import median

from loadtests.bench.config import Config
from loadtests.bench.fixtures import new_dataset, start_server, warm_up
from loadtests.bench.load import measure
from loadtests.bench.paired_rounds import Target, ratio, run_interleaved
from loadtests.bench.report import Section, table
from loadtests.bench.servers import rollcall

_LIMIT = 1.1


def run(config: Config, folder: Path) -> list[Section]:
    """Measures one server per dataset size, in interleaved rounds."""
    with ExitStack() as stack:
        datasets = [stack.enter_context(new_dataset(size, folder)) for size in config.growth]
        servers = [rollcall(dataset, folder) for dataset in datasets]
        for server in servers:
            start_server(server, stack)
            warm_up(server, config.warm_up, folder)
        rounds = run_interleaved(
            servers, config.rounds, lambda server: measure(server, config.seconds, folder)
        )
    cpu = [[sample.server_us for sample in measurements] for measurements in rounds]
    redis = [[sample.redis_us for sample in measurements] for measurements in rounds]
    ratios = [ratio(measurements, cpu[0]) for measurements in cpu]
    memory_ratios = [dataset.redis_bytes / dataset.body_bytes for dataset in datasets]
    rows = [
        [f"{size:,} people", f"{median(c):.1f}", f"{median(r):.1f}", str(times), f"{memory:.2f}"]
        for size, c, r, times, memory in zip(
            config.growth, cpu, redis, ratios, memory_ratios, strict=True
        )
    ]
    smallest, largest = config.growth[0], config.growth[-1]
    name = f"growth: CPU a read, {largest:,} people to {smallest:,}"
    return [
        Section(
            "Growth",
            table(["", "CPU µs", "Redis µs", "CPU, to the first", "memory to bodies"], rows),
            [Target(name, ratios[-1].median, _LIMIT)],
            {str(size): {"cpu": c} for size, c in zip(config.growth, cpu, strict=True)},
        )
    ]
