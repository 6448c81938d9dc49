"""The record of a load: a line of CSV for each request, which locust writes."""

import csv
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from loadtests.profiles import KNEE_P99
from loadtests.schedule import READ, Arrival
from loadtests.traffic import RIGHT_OUTCOMES

_START = "# start: "
_HEADER = "stage,due,kind,outcome,ms,lag"


class Request(NamedTuple):
    """A request that was due `due` seconds after the start, in a stage (-1: warm-up).

    `ms`: its latency since then; `lag`: by how many ms the load generator sent it late, None if all
    connections were in use.
    """

    stage: int
    due: float
    kind: str
    outcome: str
    ms: float
    lag: float | None


class Recorder:
    """Writes the record."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w")
        self._requests: Counter[int] = Counter()  # by stage
        self._beyond: Counter[int] = Counter()  # of these, slow reads and failures
        self._continues: dict[int, bool] = {}  # by stage

    def begin(self, start: float) -> None:
        """Writes the header, with the start by time.monotonic (the same clock in all processes)."""
        self._file.write(f"{_START}{start}\n{_HEADER}\n")
        self._file.flush()

    def write(
        self, arrival: Arrival, kind: str, outcome: str, ms: float, lag: float | None
    ) -> None:
        """Adds a request."""
        self._requests[arrival.stage] += 1
        is_slow = kind == READ and ms > KNEE_P99
        self._beyond[arrival.stage] += is_slow or outcome not in RIGHT_OUTCOMES
        late = "" if lag is None else f"{lag:.3f}"
        self._file.write(f"{arrival.stage},{arrival.due:.4f},{kind},{outcome},{ms:.3f},{late}\n")

    def is_before_knee(self, stage: int) -> bool:
        """Returns False if two stages in succession before this one were beyond the knee: one may
        be due to another program of the machine. Decided once for a stage: reads and sign-ups,
        which ask one after the other, have to end together.
        """
        are_beyond = (
            self._beyond[each] > self._requests[each] / 100 for each in (stage - 2, stage - 1)
        )
        return self._continues.setdefault(stage, not all(are_beyond))

    def close(self) -> None:
        """Completes the file."""
        self._file.close()


def read_start(path: Path) -> float | None:
    """Returns the start of a load by time.monotonic, once it is known."""
    if not path.exists():
        return None
    first, newline, _ = path.read_text().partition("\n")
    return float(first.removeprefix(_START)) if newline else None


def read_requests(path: Path) -> Iterator[Request]:
    """Yields the requests of a complete record."""
    with path.open() as file:
        file.readline()
        for row in csv.DictReader(file):
            yield Request(
                int(row["stage"]),
                float(row["due"]),
                sys.intern(row["kind"]),
                sys.intern(row["outcome"]),
                float(row["ms"]),
                float(row["lag"]) if row["lag"] else None,
            )
