"""`make load`: 3,500 requests per minute, one in ten a sign-up, while the workers deliver.

Starts a stack on new data, which are removed afterwards, or uses a running service (--url; one
with the development mailbox). Prints the latencies of locust's requests. Exit status: 0 if all
thresholds are met, 1 if not (the violations are printed), 130 after Ctrl-C.
"""

import argparse
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from loadtests import ISOLATED_ENV
from loadtests.report import KINDS, Report, Thresholds
from loadtests.run import LoadProfile, run
from local.processes import StackError
from local.stack import Stack


def main() -> int:
    """Runs the load test of the command line; returns the exit status."""
    options = _parse_options()
    # SIGINT too: shells have background processes ignore it.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _interrupt)
    load = LoadProfile(options.rate, options.seconds, options.warm_up, options.seed_people)
    p99 = dict(zip(KINDS, (options.reads_p99, options.sign_ups_p99), strict=True))
    thresholds = Thresholds(options.rate, options.rate_tolerance, p99)
    try:
        report = _run(load, options.url)
    except KeyboardInterrupt:
        return 130
    except StackError as error:
        print(f"FAIL\n  {error}")
        return 1
    print(f"{load.seconds:g} s, after a warm-up of {load.warm_up:g} s that is not counted:\n")
    print(f"{report.table()}\n\n{report.verdict(thresholds)}")
    return 1 if report.violations(thresholds) else 0


def _run(load: LoadProfile, url: str | None) -> Report:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rollcall-load-")))
        if url is None:
            print("starting Rollcall ...", flush=True)
            rollcall = Stack(folder / "data", env=ISOLATED_ENV)
            url = stack.enter_context(rollcall).url
        print(f"loading {url} with {load.rate:g} requests a minute ...", flush=True)
        return run(load, url.rstrip("/"), folder)


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests", description=__doc__)
    parser.add_argument("--url", help="of a running service")
    for name, default, description in (
        ("--rate", LoadProfile.rate, "requests per minute"),
        ("--seconds", LoadProfile.seconds, "measured time"),
        ("--warm-up", LoadProfile.warm_up, "seconds before, not measured"),
        ("--reads-p99", 10.0, "limit in ms"),
        ("--sign-ups-p99", 100.0, "limit in ms"),
        ("--rate-tolerance", 2.0, "deviation of the rate, in percent"),
    ):
        parser.add_argument(name, type=float, default=default, help=f"{description} ({default:g})")
    text = f"people who sign up before ({LoadProfile.seed_people})"
    parser.add_argument("--seed-people", type=int, default=LoadProfile.seed_people, help=text)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
