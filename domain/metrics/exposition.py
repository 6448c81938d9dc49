"""The processes' own metrics in Prometheus' text format, without Django."""

import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest, start_http_server
from prometheus_client.core import CollectorRegistry, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from domain.metrics.multiprocess import VARIABLE, delete_dead_gauges
from domain.metrics.registry import REGISTRY

CONTENT_TYPE = CONTENT_TYPE_LATEST


class ProcessCollector(Collector):
    """Collects the metrics of all processes that share them, or of this one alone.

    `write_up`: whether the write process has answered; None: this process asks none.
    """

    def __init__(self, *, write_up: bool | None = None) -> None:
        self._write_up = write_up

    def collect(self) -> Iterator[Metric]:
        directory = os.environ.get(VARIABLE)
        if directory is None:
            yield from REGISTRY.collect()
        else:
            delete_dead_gauges(Path(directory))
            yield from MultiProcessCollector(None, directory).collect()  # type: ignore[no-untyped-call]  # no types
        if self._write_up is not None:
            text = "Whether the write process has answered this scrape."
            yield GaugeMetricFamily("rollcall_write_up", text, self._write_up)


def render_process_metrics(*, write_up: bool | None = None) -> bytes:
    """Returns the body of `GET /metrics`, of type `CONTENT_TYPE`.

    It reads all files of the directory, which takes milliseconds: not for an event loop's thread.
    """
    return generate_latest(ProcessCollector(write_up=write_up))


def serve_metrics(port: int) -> None:
    """Serves `GET /metrics` on `port` of all interfaces, in a thread, without authentication.

    Raises OSError if the port is taken.
    """
    registry = CollectorRegistry()
    registry.register(ProcessCollector())
    start_http_server(port, registry=registry)
