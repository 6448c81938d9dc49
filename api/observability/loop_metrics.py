"""Metrics of an event loop, which has no time for files.

With prometheus-client's multi-process mode one observation costs microseconds, a tenth of a whole
profile read. Here it adds to plain numbers, and once a second `flush` adds what is new to the real
metrics, possibly in another thread, because a slow disk must not hold up the loop.
"""

import time
from bisect import bisect_left
from collections import defaultdict

from prometheus_client import Counter, Histogram

from api.observability import registry
from api.observability.registry import BUCKETS

type Labels = tuple[str | int, ...]

_EMPTY_ROW = [0.0] * (len(BUCKETS) + 2)  # a number for each bucket and +Inf, then the sum


class LoopMetrics:
    """Counts in one thread, flushed in the same or another one: what is counted only grows."""

    def __init__(self, component: str) -> None:
        """`component` labels the CPU time of the process: "read" or "write"."""
        self._cpu = registry.PROCESS_CPU.labels(component)
        self._cpu_flushed = 0.0
        self._counts: defaultdict[tuple[Counter, Labels], float] = defaultdict(int)
        self._rows: defaultdict[tuple[Histogram, Labels], list[float]] = defaultdict(
            _EMPTY_ROW.copy
        )
        self._counts_flushed: dict[tuple[Counter, Labels], float] = {}
        self._rows_flushed: dict[tuple[Histogram, Labels], list[float]] = {}

    def inc(self, counter: Counter, *labels: str | int, amount: float = 1) -> None:
        """Adds to a counter of `registry`."""
        self._counts[counter, labels] += amount

    def observe(self, histogram: Histogram, seconds: float, *labels: str | int) -> None:
        """Adds a duration to a histogram of `registry`, with the buckets `BUCKETS`."""
        row = self._rows[histogram, labels]
        row[bisect_left(BUCKETS, seconds)] += 1
        row[-1] += seconds

    def flush(self) -> None:
        """Adds what has been counted since the last call to the real metrics.

        To be called once a second, and before the process exits; by one thread at a time. Raises
        OSError if the disk is full.
        """
        self._flush_counts()
        self._flush_rows()
        cpu = time.process_time()
        self._cpu.inc(cpu - self._cpu_flushed)
        self._cpu_flushed = cpu

    def _flush_counts(self) -> None:
        for (counter, labels), value in list(self._counts.items()):
            flushed = self._counts_flushed.get((counter, labels), 0)
            if value > flushed:
                (counter.labels(*labels) if labels else counter).inc(value - flushed)
                self._counts_flushed[counter, labels] = value

    def _flush_rows(self) -> None:
        for (histogram, labels), live_row in list(self._rows.items()):
            row = live_row.copy()  # the loop goes on adding to it
            flushed = self._rows_flushed.get((histogram, labels), _EMPTY_ROW)
            if row != flushed:
                _add_row(histogram.labels(*labels), row, flushed)
                self._rows_flushed[histogram, labels] = row


def _add_row(histogram: Histogram, row: list[float], flushed: list[float]) -> None:
    # prometheus-client has no public call that adds n observations to a bucket. Its version is
    # pinned, and a test compares this with `observe`.
    *buckets, total = (new - old for new, old in zip(row, flushed, strict=True))
    for bucket, amount in zip(histogram._buckets, buckets, strict=True):  # noqa: SLF001
        if amount:
            bucket.inc(amount)
    histogram._sum.inc(total)  # noqa: SLF001


loop_metrics = LoopMetrics("read")
