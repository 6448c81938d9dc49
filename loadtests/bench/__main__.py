"""`make bench`: Rollcall's read beside its peers', and the rest of section 8.

Everything is started here, on new data that are removed afterwards. ARGS="--quick" takes three
minutes and is only good to see that all works; a whole run takes some fifteen, and the machine to
itself. docs/bench.md has the rest: Debian's packages for two peers, other interpreters.
Parts can be named: ARGS="reads growth". The figures are kept in .cache/bench/figures.json, the
chart of a whole run in docs/bench.svg. Exit status: 0 when everything was measured, whether or not
a target was reached; 1 when something could not be; 130 after Ctrl-C.
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

from loadtests.bench import beside_writers, chart, growth, knee, reads, rebuild, sign_ups
from loadtests.bench.load import has_wrk
from loadtests.bench.python_build import describe_python
from loadtests.bench.report import Section, summary
from loadtests.bench.scale import QUICK, WHOLE, Scale
from loadtests.bench.tools import RESULTS, ROOT
from local.processes import LocalError

PARTS: dict[str, Callable[[Scale, Path], list[Section]]] = {
    "reads": reads.run,
    "growth": growth.run,
    "knee": knee.run,
    "sign-ups": sign_ups.run,
    "beside-writers": beside_writers.run,
    "rebuild": rebuild.run,
}


_CHART = "CPU time for one profile read: server (dark) and Redis (light)"


def main() -> int:
    """Run what the command line asks for; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _interrupt)
    try:
        _run(options.parts or list(PARTS), QUICK if options.quick else WHOLE)
    except KeyboardInterrupt:
        return 130
    except LocalError as error:
        print(f"FAIL\n  {error}")
        return 1
    return 0


def _run(parts: list[str], scale: Scale) -> None:
    print(_machine(), flush=True)
    sections: list[Section] = []
    for part in parts:
        with tempfile.TemporaryDirectory(prefix="rollcall-bench-") as folder:
            found = PARTS[part](scale, Path(folder))
        for section in found:
            print(section, flush=True)
        sections += found
    print(summary(sections))
    _keep(sections, ROOT / "docs" if scale is WHOLE else RESULTS)


def _keep(sections: list[Section], charts: Path) -> None:
    """Write the figures down, and the chart if there are reads in them."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    figures = {section.title: section.figures for section in sections}
    (RESULTS / "figures.json").write_text(json.dumps(figures, indent=1))
    if groups := reads.chart_groups(sections):
        charts.mkdir(exist_ok=True)
        (charts / "bench.svg").write_text(chart.svg(_CHART, groups))


def _machine() -> str:
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
