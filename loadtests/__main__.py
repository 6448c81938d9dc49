"""`make load`: 3,500 requests a minute, one in ten a sign-up, while the workers deliver.

Starts a whole stack of its own, on new data that are removed afterwards, or takes a running one
(--url; one with the development mailbox). Locust loads it, and a table shows how long the answers
took. Exit status: 0 if all went well, 1 if not (the reasons are printed), 130 after Ctrl-C.
"""

import argparse
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from loadtests import ITS_OWN
from loadtests.report import KINDS, Limits, Report
from loadtests.run import Load, run
from local.processes import LocalError
from local.stack import Stack


def main() -> int:
    """Run the load that the command line asks for; the exit status."""
    options = _options()
    # Also the first, which a shell has whatever it starts with & ignore.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _interrupt)
    load = Load(options.rate, options.seconds, options.warm_up, options.people)
    p99 = dict(zip(KINDS, (options.reads_p99, options.sign_ups_p99), strict=True))
    limits = Limits(options.rate, options.rate_within, p99)
    try:
        report = _run(load, options.url)
    except KeyboardInterrupt:
        return 130
    except LocalError as error:
        print(f"FAIL\n  {error}")
        return 1
    print(f"{load.seconds:g} s, after a warm-up of {load.warm_up:g} s that is not counted:\n")
    print(f"{report.table()}\n\n{report.verdict(limits)}")
    return 1 if report.reasons(limits) else 0


def _run(load: Load, url: str | None) -> Report:
    with ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="rollcall-load-")))
        if url is None:
            print("starting Rollcall ...", flush=True)
            stack = Stack(folder / "data", env=ITS_OWN)
            url = ends.enter_context(stack).url
        print(f"loading {url} with {load.rate:g} requests a minute ...", flush=True)
        return run(load, url.rstrip("/"), folder)


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests", description=__doc__)
    parser.add_argument("--url", help="of a running service")
    for name, default, what in (
        ("--rate", Load.rate, "requests a minute"),
        ("--seconds", Load.seconds, "how long to measure"),
        ("--warm-up", Load.warm_up, "seconds of the same before"),
        ("--reads-p99", 10.0, "limit in ms"),
        ("--sign-ups-p99", 100.0, "limit in ms"),
        ("--rate-within", 2.0, "how far off the rate may be, in percent"),
    ):
        parser.add_argument(name, type=float, default=default, help=f"{what} ({default:g})")
    people = f"how many there are before ({Load.people})"
    parser.add_argument("--people", type=int, default=Load.people, help=people)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
