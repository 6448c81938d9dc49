"""Metrics of both Redis servers: whether they respond, their memory, the queue, and what `profiles
verify` found.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from huey.contrib.djhuey import HUEY
from prometheus_client.core import GaugeMetricFamily, Metric
from redis import RedisError

from domain.projection import verify
from domain.projection.client import get_primaries
from domain.projection.redis_command import execute
from domain.projection.redis_pool import Pool
from workers import queue


def collect() -> Iterator[Metric]:
    """Yields the metrics; of a server that does not respond only that."""
    up = GaugeMetricFamily("rollcall_redis_up", "Whether a Redis responds.", labels=["redis"])
    used = GaugeMetricFamily(
        "rollcall_redis_memory_used_bytes", "Memory that a Redis uses.", labels=["redis"]
    )
    limit = GaugeMetricFamily(
        "rollcall_redis_memory_max_bytes",
        "Memory that a Redis may use: maxmemory, or that of its machine.",
        labels=["redis"],
    )
    for name, servers in (("profiles", _profile_servers), ("queue", _queue_servers)):
        memory = _get_memory(servers)
        up.add_metric([name], memory is not None)
        if memory is not None:
            used.add_metric([name], memory.used)
            limit.add_metric([name], memory.limit)
    yield from (up, used, limit)
    if (depth := queue.queue_depth()) is not None:
        yield GaugeMetricFamily("rollcall_queue_depth", "Tasks that wait in Huey's queue.", depth)
    yield from _profiles()


class _Memory(NamedTuple):
    used: int
    limit: int


def _profile_servers() -> list[Pool]:
    return [primary.pool for primary in get_primaries()]


def _queue_servers() -> list[Pool]:
    return [HUEY.storage.pool]


def _get_memory(servers: Callable[[], list[Pool]]) -> _Memory | None:
    """Returns the bytes of all primaries together; None if one does not respond."""
    try:
        replies = [execute(pool, "INFO", "memory") for pool in servers()]
    except RedisError:
        return None
    infos = [dict(re.findall(rb"^(\w+):([0-9]+)", reply, re.MULTILINE)) for reply in replies]
    return _Memory(
        sum(int(info[b"used_memory"]) for info in infos),
        sum(int(info[b"maxmemory"]) or int(info[b"total_system_memory"]) for info in infos),
    )


def _profiles() -> Iterator[Metric]:
    try:
        misses = sum(execute(p.pool, "ZCARD", p.backfill_queue) for p in get_primaries())
        result = verify.load_result()
    except RedisError:
        return
    text = "Missing profiles that wait for the relay."
    yield GaugeMetricFamily("rollcall_profile_backfill_queue_depth", text, misses)
    if verify.FINISHED_AT not in result:
        return
    text = "Unix time at which `profiles verify` or `repair` last ended."
    finished_at = result.pop(verify.FINISHED_AT)
    yield GaugeMetricFamily("rollcall_profile_verify_timestamp_seconds", text, finished_at)
    text = "Profiles that it found different from Postgres, and left so, by kind."
    family = GaugeMetricFamily("rollcall_profile_differences", text, labels=["kind"])
    for kind, count in result.items():
        family.add_metric([kind], count)
    yield family
