"""The read, beside its peers: keys at random, and people who read often."""

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median

from loadtests.bench import peers, same, usage
from loadtests.bench.comparison import Comparison, noise_note
from loadtests.bench.field import crowd_of, start, warm_up
from loadtests.bench.load import CONNECTIONS, measure
from loadtests.bench.pairing import Target, interleaved
from loadtests.bench.people import Crowd
from loadtests.bench.report import Section, table
from loadtests.bench.scale import Scale
from loadtests.bench.servers import Server, rollcall
from loadtests.bench.tools import install_fastify

UNIFORM_KEYS, HOT_KEYS = "keys at random", "people who read often"
# Section 8 of the design: what a read of Rollcall's may cost, Redis included, to that of the peer.
_TARGETS = {
    UNIFORM_KEYS: {"go": 0.7, "nginx_lua": 0.6, "fastify": 0.4, "fastapi": 1 / 10, "drf": 1 / 18},
    HOT_KEYS: {"go": 0.45, "fastify": 0.35},
}
_CONSTANT_LIMIT = 2.0  # the server alone, to nginx that answers a constant
_REDIS_LIMIT, _PROCESS_LIMIT = 2.0, 45.0  # to the bodies' bytes; MB


def run(scale: Scale, folder: Path, *, with_peers: bool = True) -> list[Section]:
    """Starts all servers, and loads each in turn."""
    starts, notes = peers.available() if with_peers else ([], [])
    if with_peers:
        install_fastify(folder)
    with ExitStack() as ends:
        crowd = ends.enter_context(crowd_of(scale.people, folder))
        servers = [rollcall(crowd, folder), *(start_peer(crowd, folder) for start_peer in starts)]
        for server in servers:
            start(server, ends)
        same.check([server for server in servers if server.reads])
        for server in servers:
            warm_up(server, scale.warm_up, folder)
        uniform = _compare(servers, scale, folder, None)
        hot = _compare(servers, scale, folder, scale.hot)
        return [
            _section(UNIFORM_KEYS, uniform, scale, notes),
            _section(HOT_KEYS, hot, scale, notes),
            memory(crowd, servers[0]),
        ]


def memory(crowd: Crowd, server: Server) -> Section:
    """What the profiles take in Redis, and a read process after all those reads."""
    ratio = crowd.redis_octets / crowd.body_octets
    per_person, body = crowd.redis_octets / crowd.people, crowd.body_octets / crowd.people
    process = usage.memory(server.pids[-1])
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
    """CPU a read in µs, of server and Redis, by the kind of reads and the server's title; empty if
    nothing was compared.
    """
    return {
        kind: {
            one["title"]: (
                median(sample["server_us"] for sample in one["rounds"]),
                median(sample["redis_us"] for sample in one["rounds"]),
            )
            for one in section.figures.values()
        }
        for section in sections
        for kind in _TARGETS
        if kind in section.title
    }


def _compare(
    servers: list[Server], scale: Scale, folder: Path, hot_set_size: int | None
) -> list[Comparison]:
    rounds = interleaved(
        servers, scale.rounds, lambda server: measure(server, scale.seconds, folder, hot_set_size)
    )
    return [Comparison(server, own, rounds[0]) for server, own in zip(servers, rounds, strict=True)]


def _section(kind: str, comparisons: list[Comparison], scale: Scale, notes: list[str]) -> Section:
    rows = table(Comparison.HEADINGS, [one.row() for one in comparisons])
    return Section(
        f"Profile reads, {kind}: {scale.people:,} people, {CONNECTIONS} connections, one process"
        f" each, {scale.rounds} rounds of {scale.seconds:g} s; CPU in µs a read",
        [*rows, "", noise_note(comparisons), *notes],
        _targets(kind, comparisons),
        {one.server.name: one.figures() for one in comparisons},
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
