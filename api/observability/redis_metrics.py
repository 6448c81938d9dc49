"""Metrics of both Redis servers: whether they respond, their memory, the queue, and what `profiles
verify` found.
"""

from collections.abc import Iterator
from typing import Any

from huey.contrib.djhuey import HUEY
from prometheus_client.core import GaugeMetricFamily, Metric
from redis import Redis, RedisError

from domain.projection import verify
from domain.projection.client import get_client, get_primaries
from domain.projection.redis_command import execute
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
    for name, client in (("profiles", get_client()), ("queue", HUEY.storage.conn)):
        memory = _get_memory(client)
        up.add_metric([name], memory is not None)
        if memory is not None:
            used.add_metric([name], memory["used_memory"])
            limit.add_metric([name], memory["maxmemory"] or memory["total_system_memory"])
    yield from (up, used, limit)
    if (depth := queue.queue_depth()) is not None:
        yield GaugeMetricFamily("rollcall_queue_depth", "Tasks that wait in Huey's queue.", depth)
    yield from _profiles()


def _get_memory(client: Redis) -> dict[str, Any] | None:
    try:
        return client.info("memory")
    except RedisError:
        return None


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
