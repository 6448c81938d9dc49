"""`make faults TOPOLOGY=single SEEDS=20`: breaks parts of a service under load, and reconciles.

Each seed starts a service on new data, with people who sign up, confirm, change, sign out and read.
Its parts are broken one after another and repaired; in the end every answer is compared with
Postgres, Redis, the messages that arrived, and the table of what clients may see. Writes
report.html to a new folder in .data/faults/. Exit status: 0 if nothing is wrong; 1 if something is,
or the service could not be run; 2 for wrong options; 130 after Ctrl-C.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import FrameType

from loadtests.__main__ import parse_duration
from loadtests.faults import timeline
from loadtests.faults.faults import Fault, schedule
from loadtests.faults.live import Display
from loadtests.faults.run import Report, run
from loadtests.faults.summary import describe_failure, table, table_of_faults
from loadtests.faults.topologies import TOPOLOGIES, Topology
from local.processes import StackError

_FOLDER = Path(".data/faults")
_FAULTS = 8  # of one seed


def main() -> int:
    """Runs the seeds of the command line; returns the exit status."""
    options = parse_options(sys.argv[1:])
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _interrupt)
    try:
        return _run(options)
    except KeyboardInterrupt:
        return 130
    except StackError as error:
        print(f"FAIL\n  {error}")
        return 1


def _run(options: argparse.Namespace) -> int:
    topology = TOPOLOGIES[options.topology]
    faults = [fault for fault in topology.faults() if options.only in fault.name]
    if not faults:
        raise StackError(f"no fault has {options.only!r} in its name")
    for name, reason in topology.skipped().items():
        print(f"left out: {name}: {reason}")
    folder = _make_folder(options)
    reports: list[Report] = []
    is_interrupted = False
    try:
        for seed in _seeds(options):
            reports.append(_run_seed(seed, topology, faults, options, folder))
            (folder / "report.html").write_text(timeline.render_page(options.topology, reports))
    except KeyboardInterrupt:
        is_interrupted = True
        if not reports:
            raise
    print(f"\n{table(reports)}\n\n{table_of_faults(reports)}\n\nreport: {folder / 'report.html'}")
    failed = [report for report in reports if report.violations]
    for report in failed:
        print(describe_failure(report, _repeat(options, report.seed)))
    print("FAIL" if failed else "PASS")
    return 130 if is_interrupted else int(bool(failed))


def _seeds(options: argparse.Namespace) -> Iterator[int]:
    """Yields the seeds: one, several from 0 on, or new ones until the time is over."""
    if options.random:
        end = time.monotonic() + options.random
        first = int(time.time())
        for seed in count(first):
            if time.monotonic() > end:
                return
            yield seed
    elif options.seed is not None:
        yield options.seed
    else:
        yield from range(options.seeds)


def _run_seed(
    seed: int, topology: Topology, faults: list[Fault], options: argparse.Namespace, folder: Path
) -> Report:
    chosen = schedule(faults, seed, options.faults)
    with _scratch_folder(folder, seed) as scratch, Display(len(chosen)) as display:
        report = run(seed, chosen, scratch, topology=topology, show=display.show)
        if report.violations:
            _keep_logs(scratch, folder, seed)
    return report


@contextmanager
def _scratch_folder(folder: Path, seed: int) -> Iterator[Path]:
    """Yields a folder for data and logs, which is removed; logs are kept after an error."""
    with tempfile.TemporaryDirectory(prefix="rollcall-faults-") as name:
        try:
            yield Path(name)
        except StackError:
            _keep_logs(Path(name), folder, seed)
            raise


def _keep_logs(scratch: Path, folder: Path, seed: int) -> None:
    target = folder / f"logs-{seed}"
    target.mkdir(exist_ok=True)
    for log in scratch.rglob("*.log"):
        shutil.copy(log, target)


def _repeat(options: argparse.Namespace, seed: int) -> str:
    only = f" ONLY={options.only!r}" if options.only else ""
    number = f" ARGS='--faults {options.faults}'" if options.faults != _FAULTS else ""
    return f"make faults TOPOLOGY={options.topology} SEED={seed}{only}{number}"


def _make_folder(options: argparse.Namespace) -> Path:
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        return Path(options.out)
    _FOLDER.mkdir(parents=True, exist_ok=True)
    prefix = f"{options.topology}-{time.strftime('%Y%m%d-%H%M%S')}-"
    return Path(tempfile.mkdtemp(prefix=prefix, dir=_FOLDER))


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def parse_options(arguments: list[str]) -> argparse.Namespace:
    """Returns the options of a command line. Raises `SystemExit` if they are wrong."""
    parser = argparse.ArgumentParser(
        prog="faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--topology", choices=TOPOLOGIES, default="single")
    add("--seed", type=int, help="one seed, as a failed run prints it")
    add("--seeds", type=int, default=1, help="how many, from 0 on")
    add("--random", metavar="TIME", type=parse_duration, help="new seeds for a time, such as 1h")
    add("--faults", type=int, default=_FAULTS, help="how many a seed has")
    add("--only", metavar="TEXT", default="", help="faults with this in their name")
    add("--out", metavar="FOLDER", type=Path, help=f"of the report; default: in {_FOLDER}")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
