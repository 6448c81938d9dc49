"""Metrics of an event loop, which has no time for files.

With prometheus-client's multi-process mode one observation costs 3.4 us, an eighth of a whole
profile read; here 0.5 us. It adds to plain numbers, and once a second `flush` adds what is new to
the real metrics, possibly in another thread, because a slow disk must not hold up the loop.
"""

import time
from bisect import bisect_left
from collections import defaultdict

from prometheus_client import Counter, Histogram

from domain.metrics import registry
from domain.metrics.registry import BUCKETS

type Key = tuple[Counter | Histogram, tuple[str | int, ...]]  # with the values of the labels

_SHORTEST = BUCKETS[0]
_EMPTY_ROW = [0.0] * (len(BUCKETS) + 2)  # a number for each bucket and +Inf, then the sum


class LoopMetrics:
    """Counts in one thread, flushed in the same or another one: what is counted only grows."""

    def __init__(self, component: str) -> None:
        """`component` labels the CPU time of the process: "read" or "write"."""
        self._cpu = registry.PROCESS_CPU.labels(component)
        self._cpu_flushed = 0.0
        # A counter has a row of one number.
        self._rows: defaultdict[Key, list[float]] = defaultdict(_EMPTY_ROW.copy)
        self._flushed: dict[Key, list[float]] = {}

    def inc(self, counter: Counter, *labels: str | int) -> None:
        """Adds 1 to a counter of `registry`."""
        self._rows.setdefault((counter, labels), [0.0])[0] += 1

    def observe(self, histogram: Histogram, seconds: float, *labels: str | int) -> None:
        """Adds a duration to a histogram of `registry`, with the buckets `BUCKETS`."""
        add_to_row(self.row(histogram, *labels), seconds)

    def row(self, histogram: Histogram, *labels: str | int) -> list[float]:
        """Returns the row of a histogram of `registry` for `add_to_row`, which costs half as much
        as `observe`.
        """
        return self._rows[histogram, labels]

    def flush(self) -> None:
        """Adds what has been counted since the last call to the real metrics.

        To be called once a second, and before the process exits; by one thread at a time. Raises
        OSError if the disk is full.
        """
        for key, live_row in list(self._rows.items()):
            row = live_row.copy()  # the loop goes on adding to it
            flushed = self._flushed.get(key, [0.0] * len(row))
            if row != flushed:
                _add(key, [new - old for new, old in zip(row, flushed, strict=True)])
                self._flushed[key] = row
        cpu = time.process_time()
        self._cpu.inc(cpu - self._cpu_flushed)
        self._cpu_flushed = cpu


def _add(key: Key, row: list[float]) -> None:
    metric, labels = key
    child = metric.labels(*labels) if labels else metric
    if isinstance(child, Counter):
        child.inc(row[0])
        return
    # prometheus-client has no public call that adds n observations to a bucket. Its version is
    # pinned, and a test compares this with `observe`.
    *buckets, total = row
    for bucket, amount in zip(child._buckets, buckets, strict=True):  # noqa: SLF001  # see above
        if amount:
            bucket.inc(amount)
    child._sum.inc(total)  # noqa: SLF001  # see above


def add_to_row(row: list[float], seconds: float) -> None:
    """Adds a duration to the row of a histogram with the buckets `BUCKETS`."""
    row[0 if seconds <= _SHORTEST else bisect_left(BUCKETS, seconds)] += 1
    row[-1] += seconds


loop_metrics = LoopMetrics("read")
