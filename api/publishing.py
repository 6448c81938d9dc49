"""The counts of every process of the web server, wherever a scrape arrives.

The web server answers from several processes, and a scrape reaches one of them. So each writes what
it counted into a file of its own, once a second. prometheus_client has files for that too, but
there each count is written when it is made, at 3 to 4 us (0.4 here, and a whole read takes 50), and
they are made by whoever imports it.
"""

import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import orjson
import structlog

from api.counts import Counts, Key

log = structlog.get_logger(__name__)

_EVERY = 1.0  # seconds
_GONE_AFTER = 30.0  # seconds; a file that was not written for so long is of a killed process


class Published(NamedTuple):
    """What one process counted."""

    process: str
    counters: list[tuple[Key, float]]
    histograms: list[tuple[Key, list[float]]]


class Publisher:
    """Writes `counts` of this process into `folder`, from `start` to `close`."""

    def __init__(self, folder: Path, counts: Sequence[Counts]) -> None:
        self._counts = counts
        self._file = folder / f"{os.getpid()}.json"
        self._ended = threading.Event()
        # Not the event loop: a slow disk must not hold up the reads.
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End, and take the file away."""
        self._ended.set()
        self._thread.join()
        with suppress(OSError):  # it could not be written either, which was logged
            self._file.unlink()

    def _run(self) -> None:
        failing = False
        while not self._ended.is_set():
            try:
                self._write()
                failing = False
            except OSError as error:
                if not failing:
                    log.error("metrics_not_written", error=type(error).__name__)
                failing = True
            self._ended.wait(_EVERY)

    def _write(self) -> None:
        seconds: tuple[Key, float] = (("process_cpu_seconds",), time.process_time())
        document = {
            "counters": [seconds, *(pair for each in self._counts for pair in each.counters())],
            "histograms": [pair for each in self._counts for pair in each.histograms()],
        }
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = self._file.with_suffix(".new")
        beside.write_bytes(orjson.dumps(document))
        beside.rename(self._file)  # a reader finds it whole


def published(folder: Path) -> list[Published]:
    """What the living processes have written there, a second ago at most."""
    found = []
    for file in sorted(folder.glob("*.json")):
        try:
            if time.time() - file.stat().st_mtime > _GONE_AFTER:
                file.unlink()
                continue
            document = orjson.loads(file.read_bytes())
        except FileNotFoundError:
            continue  # its process ended just now, or another scrape has removed it
        pairs = {
            kind: [(tuple(key), numbers) for key, numbers in document[kind]]
            for kind in ("counters", "histograms")
        }
        found.append(Published(file.stem, **pairs))
    return found
