"""`make bench`: compares Rollcall's reads with its peers', and checks the targets.

Starts everything on new data, which are removed afterwards. ARGS="--quick" takes three minutes and
only shows that all works; a full run takes some fifteen, on an otherwise idle machine.
docs/performance.md describes the Debian packages of two peers, and other interpreters. ARGS="reads
growth" runs only these sections. The results are saved in .cache/bench/results.json, the chart of
a full run in docs/bench.svg. Exit status: 0 if everything was measured, whether or not the targets
are reached; 1 if not; 130 after Ctrl-C.
"""

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from loadtests.bench import (
    ablation,
    beside_writers,
    chart,
    cluster,
    introspection,
    knee,
    reads,
    rebuild,
    scaling,
    sign_ups,
)
from loadtests.bench.config import FULL, QUICK, Config
from loadtests.bench.load import has_wrk
from loadtests.bench.python_build import describe_python
from loadtests.bench.report import Section, summary
from loadtests.bench.toolchain import RESULTS_DIR, ROOT
from local.processes import StackError

SECTIONS: dict[str, Callable[[Config, Path], list[Section]]] = {
    "reads": reads.run,
    "introspection": introspection.run,
    "growth": scaling.run,
    "cluster": cluster.run,
    "knee": knee.run,
    "sign-ups": sign_ups.run,
    "mixed-load": beside_writers.run,
    "rebuild": rebuild.run,
    "ablation": ablation.run,
}


_CHART = "CPU time for one profile read: server (dark) and Redis (light)"


def main() -> int:
    """Runs the sections of the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []], help="default: all")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _interrupt)
    try:
        _run(options.sections or list(SECTIONS), QUICK if options.quick else FULL)
    except KeyboardInterrupt:
        return 130
    except StackError as error:
        print(f"FAIL\n  {error}")
        return 1
    return 0


def _run(names: list[str], config: Config) -> None:
    print(_describe_machine(), flush=True)
    sections: list[Section] = []
    for name in names:
        with tempfile.TemporaryDirectory(prefix="rollcall-bench-") as folder:
            results = SECTIONS[name](config, Path(folder))
        for section in results:
            print(section, flush=True)
        sections += results
    print(summary(sections))
    _save(sections, ROOT / "docs" if config is FULL else RESULTS_DIR)


def _save(sections: list[Section], chart_folder: Path) -> None:
    """Saves the results, and the chart if reads were compared."""
    RESULTS_DIR.mkdir(parents=True, exist_ok=True)
    results = {section.title: section.results for section in sections}
    (RESULTS_DIR / "results.json").write_text(json.dumps(results, indent=1))
    if groups := reads.chart_groups(sections):
        chart_folder.mkdir(exist_ok=True)
        (chart_folder / "bench.svg").write_text(chart.svg(_CHART, groups))


def _describe_machine() -> str:
    cores = len(os.sched_getaffinity(0))
    generator = "wrk" if has_wrk() else "our own generator (wrk, as Debian has it, is preferred)"
    load = os.getloadavg()[0]
    return (
        f"{platform.machine()}, {cores} cores; load from {generator}; load average {load:.1f} at"
        f" the start\nRollcall and the Python peers on {describe_python()}"
    )


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
