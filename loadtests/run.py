"""Runs a load: locust in a process of its own, beside it what the profile demands."""

import json
import os
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from loadtests.bench import writers
from loadtests.http_client import Origin
from loadtests.people import sign_up_payload, write_people
from loadtests.profiles import Profile
from loadtests.record import read_requests, read_start
from loadtests.results import Run
from loadtests.service import Service, Usage, usage_of
from local.processes import Process, StackError

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
RECORD, REPORT = "requests.csv", "report.html"
_START_TIMEOUT = 60.0  # seconds for locust to start
_END_TIMEOUT = 60.0  # seconds after the end for the last responses and the report
_SAMPLE_INTERVAL = 5.0  # seconds
_LAST_SAMPLE = 0.2  # seconds before the end, while locust runs
_MAX_SIGN_UPS = 1_500  # of a storm per second, for which bodies are prepared
LOCUST_ENV = {"GEVENT_BACKEND": "select"}  # exact to microseconds, see the locustfile


def run(profile: Profile, service: Service, folder: Path, scratch: Path) -> Run:
    """Loads a service. The people, the record and the report of locust are left in `folder`; logs,
    in `scratch`.

    Raises `StackError` if the service cannot be used, or locust fails.
    """
    people = service.people(profile.people, scratch)
    write_people(folder / "people", people)
    with ExitStack() as stack:
        storm = _start_storm(profile, service, scratch, stack) if profile.storm else None
        argv = locust_argv(profile, service.url, folder)
        argv += ["--headless", "--only-summary", "--exit-code-on-error", "0"]
        argv += ["--users", str(profile.connections), "--html", str(folder / REPORT)]
        locust = Process("locust", argv, scratch / "locust.log", env=os.environ | LOCUST_ENV)
        stack.enter_context(locust)
        observed = _observe(profile, service, locust, folder / RECORD)
        if storm:
            storm.stop()
            observed.storm = json.loads(storm.log_tail(1))
    observed.people = len(people)
    observed.undelivered = service.undelivered()
    observed.requests = [each for each in read_requests(folder / RECORD) if each.stage >= 0]
    return observed


def locust_argv(profile: Profile, url: str, folder: Path) -> list[str]:
    """Returns the command of locust for a load, without how it is controlled."""
    options: dict[str, Any] = {
        "--locustfile": LOCUSTFILE,
        "--host": url,
        "--spawn-rate": 1_000,
        "--load-profile": profile.name,
        "--seconds": profile.seconds,
        "--rate": profile.stages[0].rate,
        "--writes": profile.writes * 100,
        "--folder": folder,
    }
    arguments = [str(argument) for option in options.items() for argument in option]
    return [sys.executable, "-m", "locust", *arguments]


def _observe(profile: Profile, service: Service, locust: Process, record: Path) -> Run:
    """Samples the parts from the start of the load to its end; returns when locust has exited."""
    start = _wait_for_start(locust, record)
    time.sleep(max(0.0, start - time.monotonic()))
    observed = Run([])
    if profile.flush:
        service.flush()
        observed.flushed_at = time.monotonic() - start
    end = start + profile.seconds - _LAST_SAMPLE
    has_exited = False
    while not has_exited:
        observed.usage[time.monotonic() - start] = _sample(service, locust)
        remaining = end - time.monotonic()
        _show_progress(profile.seconds - remaining, profile.seconds)
        if remaining <= 0:
            break
        has_exited = locust.wait(min(_SAMPLE_INTERVAL, remaining))
    locust.wait(_END_TIMEOUT)
    if locust.is_running or locust.status != 0:
        raise StackError(f"locust failed, status {locust.status}\n{locust.log_tail()}")
    return observed


def _wait_for_start(locust: Process, record: Path) -> float:
    deadline = time.monotonic() + _START_TIMEOUT
    while (start := read_start(record)) is None:
        if locust.wait(0.05) or time.monotonic() > deadline:
            raise StackError(f"locust did not start\n{locust.log_tail()}")
    return start


def _show_progress(seconds: float, total: float) -> None:
    if sys.stdout.isatty():
        print(f"\r{seconds:.0f} of {total:.0f} s", end="", flush=True)


def _sample(service: Service, locust: Process) -> Mapping[str, Usage]:
    return {**service.usage(), "locust": usage_of(locust.pid)}


def _start_storm(profile: Profile, service: Service, scratch: Path, stack: ExitStack) -> Process:
    """Starts the clients that sign up; `stack` stops them."""
    origin = Origin.parse(service.url)
    if origin.scheme != "http":
        raise StackError(f"{profile.name}: HOST must be http://…, not {service.url}")
    bodies = scratch / "bodies"
    count = round((profile.warm_up + profile.seconds) * _MAX_SIGN_UPS)
    bodies.write_text("\n".join(json.dumps(sign_up_payload()) for _ in range(count)))
    argv = [sys.executable, "-m", "loadtests.bench.writers", f"--host={origin.host}"]
    argv += [f"--port={origin.port}", f"--bodies={bodies}", f"--clients={profile.storm}"]
    argv.append(f"--seconds={profile.seconds + 600}")
    clients = stack.enter_context(Process("storm", argv, scratch / "storm.log"))
    writers.wait_until_ready(clients)
    return clients
