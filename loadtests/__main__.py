"""`make load PROFILE=steady`: loads a service, and says whether it kept the profile's limits.

Starts a service on new data, which are removed afterwards, or uses a running one (HOST=). Writes
report.html (locust's, with plots), summary.json and requests.csv to a new folder in .data/load/.
docs/load-tests.md has the details. Exit status: 0 if all limits were kept; 1 if not (each broken
one is printed), or if the load could not be run; 2 for wrong options; 130 after Ctrl-C.
"""

import argparse
import json
import math
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

from loadtests import ISOLATED_ENV, web_page
from loadtests.profiles import METRICS, PROFILES, Profile
from loadtests.report_page import add_verdict
from loadtests.run import REPORT, run
from loadtests.service import OwnService, Service
from loadtests.verdict import describe, summarize
from local.processes import StackError
from local.stack import Stack

_FOLDER = Path(".data/load")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def main() -> int:
    """Runs the load of the command line; returns the exit status."""
    options = parse_options(sys.argv[1:])
    # SIGINT too: shells have background processes ignore it.
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
    profile: Profile = PROFILES[options.profile]
    profile = profile.with_load(options.duration, options.rate, options.writes)
    profile = replace(profile, limits=profile.limits | options.limit)
    folder = _make_folder(options)
    with ExitStack() as stack:
        scratch = stack.enter_context(_scratch_folder(folder))
        service = _get_service(options, scratch, stack)
        writes = bool(profile.writes or profile.storm)
        service.check(writes=writes, real_messages=options.real_messages)
        if options.ui:
            return web_page.serve(profile, service, folder, scratch)
        print(_describe_load(profile, service), flush=True)
        observed = run(profile, service, folder, scratch)
    summary = summarize(profile, observed) | {"url": service.url}
    text = describe(summary)
    (folder / "summary.json").write_text(json.dumps(summary, indent=1))
    title = f"{profile.name}: {summary['verdict']}"
    add_verdict(folder / REPORT, title, text, observed.requests, profile.seconds)
    print(f"\nreport: {folder / REPORT}\n\n{text}")
    return 0 if summary["verdict"] == "PASS" else 1


def _make_folder(options: argparse.Namespace) -> Path:
    """Returns the new folder of the results."""
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        return Path(options.out)
    _FOLDER.mkdir(parents=True, exist_ok=True)
    prefix = f"{options.profile}-{time.strftime('%Y%m%d-%H%M%S')}-"
    return Path(tempfile.mkdtemp(prefix=prefix, dir=_FOLDER))


@contextmanager
def _scratch_folder(folder: Path) -> Iterator[Path]:
    """Yields a folder for data and logs, which is removed; the logs are kept after an error."""
    with tempfile.TemporaryDirectory(prefix="rollcall-load-") as name:
        try:
            yield Path(name)
        except StackError:
            for log in Path(name).rglob("*.log"):
                shutil.copy(log, folder)
            raise


def _get_service(options: argparse.Namespace, scratch: Path, stack: ExitStack) -> Service:
    if options.host:
        return Service(options.host, options.redis, options.people)
    print("starting Rollcall ...", flush=True)
    return OwnService(stack.enter_context(Stack(scratch / "data", env=ISOLATED_ENV)))


def _describe_load(profile: Profile, service: Service) -> str:
    rates = f"{profile.stages[0].rate:,.0f} requests a minute"
    highest = max(stage.rate for stage in profile.stages)
    if highest > profile.stages[0].rate:
        rates = f"{profile.stages[0].rate:,.0f} to {highest:,.0f} requests a minute"
    return (
        f"{profile.name}: {profile.aim}\n{service.url}, {rates}, {profile.writes:.0%} sign-ups,"
        f" {profile.seconds:g} s after a warm-up of {profile.warm_up:g} s"
    )


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def parse_options(arguments: list[str]) -> argparse.Namespace:
    """Returns the options of a command line. Raises `SystemExit` if they are wrong."""
    parser = argparse.ArgumentParser(
        prog="loadtests",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="profiles:\n" + "\n".join(f"  {p.name:13} {p.aim}" for p in PROFILES.values()),
    )
    add = parser.add_argument
    add("profile", metavar="PROFILE", choices=PROFILES, nargs="?", default="steady")
    add("--host", metavar="URL", help="a running service; by default one is started")
    add("--people", metavar="FILE", type=Path, help="for --host: a token a line; else they sign up")
    add("--redis", metavar="URL", help="for --host: its profile Redis, which `cold` empties")
    add("--duration", metavar="TIME", type=parse_duration, help="such as 90, 30s, 10m or 8h")
    add("--rate", type=_number(1, 10_000_000), help="requests a minute at the start")
    add("--writes", type=_number(0, 100), help="percent of the requests that are sign-ups")
    add("--limit", metavar="NAME=VALUE,…", type=_limits, default={}, help="other limits")
    add("--out", metavar="FOLDER", type=Path, help=f"of the results; default: in {_FOLDER}")
    add("--real-messages", action="store_true", help="sign up where messages may be real")
    add("--ui", action="store_true", help="locust's web page instead of a profile's load")
    return parser.parse_args(arguments)


def _number(minimum: float, maximum: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not minimum <= value <= maximum:
            raise argparse.ArgumentTypeError(f"{text!r} is no number from {minimum} to {maximum}")
        return value

    return parse


def parse_duration(text: str) -> float:
    """Returns the seconds of a time such as 90, 30s, 10m or 8h."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not match or not 1 <= (seconds := float(match[1]) * _UNITS[match[2]]) <= 366 * 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 90, 30s, 10m or 8h")
    return seconds


def _limits(text: str) -> dict[str, float]:
    limits = {}
    for part in filter(None, re.split(r"[, ]+", text)):
        name, _, value = part.partition("=")
        if name not in METRICS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(METRICS)}")
        try:
            limits[name] = float(value)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{part!r}: the limit must be a number") from None
    return limits


if __name__ == "__main__":
    sys.exit(main())
