"""What happens now: a table with a progress bar on a terminal, otherwise a line for each change."""

import sys
import time
from collections import Counter
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from loadtests.faults.ledger import READ
from loadtests.faults.run import Report


class Display:
    """Shows a seed of `total` faults."""

    def __init__(self, total: int) -> None:
        self._start = time.monotonic()
        self._text = ""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(*columns, TimeElapsedColumn())
        self._task = self._progress.add_task("", total=total)
        # Without a thread of its own: processes are started while it is shown.
        self._live = Live(auto_refresh=False, console=Console())
        self._is_terminal = sys.stdout.isatty()

    def __enter__(self) -> Self:
        if self._is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_terminal:
            self._live.stop()

    def show(self, report: Report, text: str) -> None:
        """Shows what is broken now, and the counts until now."""
        if self._is_terminal:
            finished = sum(window.is_over for window in report.windows)
            self._progress.update(self._task, completed=finished, description=f"seed {report.seed}")
            self._live.update(Group(_table(report, text), self._progress), refresh=True)
        elif text != self._text:
            counts = ", ".join(f"{value} {name}" for name, value in _counts(report).items())
            seconds = time.monotonic() - self._start
            print(f"{seconds:6.1f} s  seed {report.seed}  {text}; {counts}", flush=True)
        self._text = text


def _counts(report: Report) -> dict[str, int]:
    entries = report.ledger.entries
    kinds = Counter(entry.kind == READ for entry in entries)
    failed = sum(entry.status in (0, 503) and entry.is_answered for entry in entries)
    return {
        "sign-ups": report.sign_ups,
        "reads": kinds[True],
        "writes": kinds[False],
        "503 or no answer": failed,
    }


def _table(report: Report, text: str) -> Table:
    table = Table()
    table.add_column("now")
    for name in (counts := _counts(report)):
        table.add_column(name, justify="right")
    table.add_row(text, *(f"{value:,}" for value in counts.values()))
    return table
