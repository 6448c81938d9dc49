"""Profile reads from a Redis Cluster compared with those from one Redis, with the same people."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import batched
from pathlib import Path
from typing import Any

from domain import fence, profile
from domain.projection.cluster_pool import AnyPool
from domain.projection.pools import make_pool
from domain.projection.redis_command import execute, execute_pipeline
from domain.redis_url import parse_url
from loadtests.bench.comparison import Comparison
from loadtests.bench.config import Config
from loadtests.bench.fixtures import new_dataset, start_server, warm_up
from loadtests.bench.load import OTHERS_CORE
from loadtests.bench.paired_rounds import Target
from loadtests.bench.people import Dataset
from loadtests.bench.reads import HOT_KEYS, UNIFORM_KEYS, compare, comparison_section
from loadtests.bench.report import Section
from loadtests.bench.servers import rollcall
from loadtests.bench.toolchain import pinned_to_core
from local.redis_topologies import ValkeyCluster

# CPU of a read process for a read from a Cluster, divided by that for one from a single Redis. The
# servers' own grows too: each gets fewer commands at a time.
_LIMIT = 1.3
_PRIMARIES = 3
_BATCH = 1_000  # hashes


def run(config: Config, folder: Path) -> list[Section]:
    """Loads a read process on one Redis and one on a Cluster of three primaries, in turns."""
    with ExitStack() as stack:
        dataset = stack.enter_context(new_dataset(config.people, folder))
        cluster = stack.enter_context(_new_cluster(folder))
        _copy(dataset, cluster.url)
        copy = replace(dataset, cluster=tuple(cluster.servers[:_PRIMARIES]))
        servers = [
            rollcall(copy, folder, title="Cluster", REDIS_URL=cluster.url),
            rollcall(dataset, folder, title="one Redis"),
        ]
        for server in servers:
            start_server(server, stack)
        for server in servers:
            warm_up(server, config.warm_up, folder)
        sections = []
        for kind, hot in ((UNIFORM_KEYS, None), (HOT_KEYS, config.hot)):
            comparisons = compare(servers, config, folder, hot)
            section = comparison_section(kind, comparisons, config, [])
            title = f"Redis Cluster of {_PRIMARIES} primaries, {'hot keys' if hot else 'all keys'}"
            sections.append(replace(section, title=title, targets=[_target(kind, comparisons[1])]))
        return sections


def _target(kind: str, single: Comparison) -> Target:
    return Target(f"{kind}: server with a Cluster, to one Redis", single.alone.median, _LIMIT)


@contextmanager
def _new_cluster(folder: Path) -> Iterator[ValkeyCluster]:
    options = {"appendonly": "no"}
    cluster = ValkeyCluster(folder, "cluster", primaries=_PRIMARIES, options=options)
    with pinned_to_core(OTHERS_CORE):
        cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


def _copy(dataset: Dataset, cluster_url: str) -> None:
    """Copies all hashes to a Cluster, and fences its primaries, as the relay would."""
    source, target = (
        make_pool(parse_url(url), server="bench", socket_timeout=30)
        for url in (dataset.redis.url, cluster_url)
    )
    keys: list[bytes] = execute(source, "KEYS", profile.KEY_PATTERN)
    for batch in batched(keys, _BATCH):
        hashes = execute_pipeline(source, [("HGETALL", key) for key in batch])
        execute_pipeline(
            target, [("HSET", key, *_flatten(h)) for key, h in zip(batch, hashes, strict=True)]
        )
    for pool, hash_tag in target.primaries():
        _fence(pool, hash_tag)
    source.close()
    target.close()


def _flatten(fields: dict[bytes, bytes]) -> list[bytes]:
    return [part for pair in fields.items() for part in pair]


def _fence(pool: AnyPool, hash_tag: str) -> None:
    server: Any = execute(pool, "INFO", "server")
    run_id = fence.parse_identity(server, b"").partition(b":")[0]
    execute(pool, "HSET", fence.fence_key(hash_tag), fence.RUN_ID, run_id)
