"""What one process counts for its operators: numbers that only grow, by name and labels.

Goes with `api.door`, `api.reads` and `api.publishing`: see `api.observability.loop_metrics`.
"""

from bisect import bisect_left
from collections import defaultdict
from threading import Lock
from typing import override

type Key = tuple[str | int, ...]  # the name, and the values of its labels

# Seconds; the upper bounds of a histogram's buckets. Above the last there is one more bucket.
BOUNDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)


class Counts:
    """Counted by one thread, and looked at by any."""

    def __init__(self) -> None:
        self._counters: defaultdict[Key, int] = defaultdict(int)
        self._histograms: defaultdict[Key, list[float]] = defaultdict(
            lambda: [0] * (len(BOUNDS) + 2)
        )

    def add(self, *key: str | int) -> None:
        """It happened once more."""
        self._counters[key] += 1

    def took(self, seconds: float, *key: str | int) -> None:
        """It happened once more, and took so long."""
        numbers = self._histograms[key]
        numbers[bisect_left(BOUNDS, seconds)] += 1
        numbers[-1] += seconds

    def counters(self) -> list[tuple[Key, int]]:
        """How often each happened."""
        return list(self._counters.items())

    def histograms(self) -> list[tuple[Key, list[float]]]:
        """How often each took how long: a number for each bucket, and the sum of seconds."""
        # Copies are made in one go, as far as other threads can tell.
        return [(key, list(numbers)) for key, numbers in list(self._histograms.items())]


class SharedCounts(Counts):
    """Counted by any thread."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = Lock()

    @override
    def add(self, *key: str | int) -> None:
        with self._lock:
            super().add(*key)

    @override
    def took(self, seconds: float, *key: str | int) -> None:
        with self._lock:
            super().took(seconds, *key)


# Apart, so that the event loop never waits for a lock that a thread holds.
on_the_loop = Counts()
in_threads = SharedCounts()
