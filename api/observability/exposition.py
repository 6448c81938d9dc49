"""The processes' own metrics in Prometheus' text format, without Django."""

import os

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from api.observability.multiprocess import VARIABLE
from api.observability.registry import REGISTRY

CONTENT_TYPE = CONTENT_TYPE_LATEST


def get_collector() -> Collector:
    """Returns what collects the metrics of all processes that share them, or of this one alone."""
    directory = os.environ.get(VARIABLE)
    if directory is None:
        return REGISTRY
    return MultiProcessCollector(None, directory)  # type: ignore[no-untyped-call]  # no types


def render_process_metrics() -> bytes:
    """Returns the body of `GET /metrics`, of type `CONTENT_TYPE`.

    It reads all files of the directory, which takes milliseconds: not for an event loop's thread.
    """
    return generate_latest(get_collector())
