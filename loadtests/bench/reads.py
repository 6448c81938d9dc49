"""Profile reads compared with the peers: uniform keys, and a hot set."""

import sys
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median

from loadtests import resource_usage
from loadtests.bench import equivalence, peers
from loadtests.bench.comparison import Comparison, noise_note
from loadtests.bench.config import Config
from loadtests.bench.fixtures import new_dataset, start_server, warm_up
from loadtests.bench.load import CONNECTIONS, measure
from loadtests.bench.paired_rounds import Target, run_interleaved
from loadtests.bench.people import Dataset
from loadtests.bench.report import Section, table
from loadtests.bench.servers import Server, rollcall
from loadtests.bench.toolchain import VENV, install_fastify
from local import native
from local.processes import StackError

UNIFORM_KEYS, HOT_KEYS = "keys at random", "people who read often"
# Section 8 of the design: Rollcall's cost of a read, Redis included, divided by the peer's.
_TARGETS = {
    UNIFORM_KEYS: {"go": 0.7, "nginx_lua": 0.6, "fastify": 0.4, "fastapi": 1 / 10, "drf": 1 / 18},
    HOT_KEYS: {"go": 0.45, "fastify": 0.35},
}
_CONSTANT_LIMIT = 2.0  # of the server alone, divided by nginx with a constant
_REDIS_LIMIT, _PROCESS_LIMIT = 2.0, 45.0  # divided by the bytes of the bodies; MB


def run(config: Config, folder: Path, *, with_peers: bool = True) -> list[Section]:
    """Starts all servers, and measures them in interleaved rounds."""
    starts, notes = peers.get_available() if with_peers else ([], [])
    if with_peers:
        install_fastify(folder)
    with ExitStack() as stack:
        dataset = stack.enter_context(new_dataset(config.people, folder))
        servers = _rollcall(dataset, folder, notes) if with_peers else [rollcall(dataset, folder)]
        servers += [start_peer(dataset, folder) for start_peer in starts]
        for server in servers:
            start_server(server, stack)
        _check_compiled(servers)
        equivalence.check([server for server in servers if server.reads])
        for server in servers:
            warm_up(server, config.warm_up, folder)
        uniform = compare(servers, config, folder, None)
        hot = compare(servers, config, folder, config.hot)
        return [
            comparison_section(UNIFORM_KEYS, uniform, config, notes),
            comparison_section(HOT_KEYS, hot, config, notes),
            memory(dataset, servers[0]),
        ]


def _rollcall(dataset: Dataset, folder: Path, notes: list[str]) -> list[Server]:
    """Returns Rollcall as it is in the image, compiled, and not compiled. Where it cannot be
    compiled there is only the latter, and a note why.
    """
    missing = native.missing_requirement()
    if not missing and not (VENV / "lib" / "python{}.{}".format(*sys.version_info)).exists():
        missing = "the measured Python is of another version than that of .venv"
    if missing:
        notes.append(f"Rollcall is not compiled: {missing}")
        return [rollcall(dataset, folder)]
    interpreted = rollcall(dataset, folder, title="Rollcall, not compiled")
    return [
        rollcall(dataset, folder, root=native.compiled_copy()),
        replace(interpreted, name="interpreted"),
    ]


def _check_compiled(servers: list[Server]) -> None:
    """Raises `StackError` if Rollcall should be compiled, and is not, or the other way round."""
    interpreted = [server.name for server in servers].count("interpreted")
    for server, expected in zip(servers, (bool(interpreted), False), strict=False):
        if native.is_loaded(server.pids[-1]) != expected:
            raise StackError(f"{server.title} is {'not ' * expected}compiled")


def memory(dataset: Dataset, server: Server) -> Section:
    """Returns the memory of the profiles in Redis, and of a read process after the reads."""
    ratio = dataset.redis_bytes / dataset.body_bytes
    per_person, body = dataset.redis_bytes / dataset.people, dataset.body_bytes / dataset.people
    process = resource_usage.memory(server.pids[-1])
    return Section(
        "Memory",
        [
            f"Redis grew by {per_person:.0f} bytes a person, whose profile has {body:.0f}",
            f"a read process: {process.rss:.1f} MB resident (Rss, shared pages counted in full),",
            f"{process.pss:.1f} MB with those divided among who share them (Pss), and",
            f"{process.uss:.1f} MB of its own (Uss)",
        ],
        [
            Target("memory of Redis, to the bytes of the bodies", ratio, _REDIS_LIMIT),
            Target("memory of a read process, resident (Rss)", process.rss, _PROCESS_LIMIT, " MB"),
        ],
        {"bytes_per_person": per_person, "body_bytes": body, "read_process_mb": asdict(process)},
    )


def chart_groups(sections: list[Section]) -> dict[str, dict[str, tuple[float, float]]]:
    """Returns µs of CPU per read, of server and Redis, by kind of reads and server; empty if
    nothing was compared.
    """
    return {
        kind: {
            one["title"]: (
                median(sample["server_us"] for sample in one["rounds"]),
                median(sample["redis_us"] for sample in one["rounds"]),
            )
            for one in section.results.values()
        }
        for section in sections
        for kind in _TARGETS
        if kind in section.title
    }


def compare(
    servers: list[Server], config: Config, folder: Path, hot_set_size: int | None
) -> list[Comparison]:
    """Loads all servers in turns, Rollcall first in the list; `hot_set_size`: see `measure`."""
    rounds = run_interleaved(
        servers, config.rounds, lambda server: measure(server, config.seconds, folder, hot_set_size)
    )
    return [Comparison(server, own, rounds[0]) for server, own in zip(servers, rounds, strict=True)]


def comparison_section(
    kind: str, comparisons: list[Comparison], config: Config, notes: list[str]
) -> Section:
    """Returns a table with a row for each server, and the targets of those that have one."""
    rows = table(Comparison.HEADINGS, [one.row() for one in comparisons])
    return Section(
        f"Profile reads, {kind}: {config.people:,} people, {CONNECTIONS} connections, one process"
        f" each, {config.rounds} rounds of {config.seconds:g} s; CPU in µs a read",
        [*rows, "", noise_note(comparisons), *notes],
        _targets(kind, comparisons),
        {one.server.name: one.results() for one in comparisons},
    )


def _targets(kind: str, comparisons: list[Comparison]) -> list[Target]:
    targets = [
        Target(f"{kind}: server + Redis, to {one.server.title}", one.both.median, limit)
        for one in comparisons
        if (limit := _TARGETS[kind].get(one.server.name))
    ]
    targets += [
        Target(f"{kind}: server alone, to {one.server.title}", one.alone.median, _CONSTANT_LIMIT)
        for one in comparisons
        if kind == HOT_KEYS and not one.server.reads
    ]
    return targets
