"""`make load` at a small scale: real runs, their limits, and how they end."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from loadtests.people import Person, write_people
from loadtests.profiles import METRICS, PROFILES
from loadtests.record import read_requests, read_start
from loadtests.service import ROLLCALL
from local.stack import Stack
from tests.conftest import LONG
from tests.support.client import ApiClient, wait_until, wait_until_readable
from tests.support.faults import child_pids, suspended

# Limits that every machine keeps: the load test is tested, not the machine.
TOLERANT = {name: "9e9" for name, metric in METRICS.items() if metric.comparison != ">="}


@pytest.fixture(scope="module")
def service(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The options for the shared service, with a file of ten people."""
    path = tmp_path_factory.mktemp("people") / "people"
    with httpx.Client(base_url=stack.url, timeout=20) as client:
        people = [ApiClient(client).sign_up() for _ in range(10)]
    write_people(path, [Person(each.token, each.body["email"]) for each in people])
    return ("--host", stack.url, "--people", str(path))


@contextmanager
def load(profile: str, out: Path, *options: str, **limits: str) -> Iterator[subprocess.Popen[str]]:
    """Starts a load; all limits of the profile but `limits` are tolerant."""
    values = TOLERANT | limits
    limit = ",".join(f"{name}={values[name]}" for name in PROFILES[profile].limits)
    argv = [sys.executable, "-m", "loadtests", profile, "--out", str(out), "--limit", limit]
    pipe = subprocess.PIPE
    with subprocess.Popen([*argv, *options], stdout=pipe, stderr=pipe, text=True) as process:
        yield process


def read_summary(out: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return summary


def test_load_within_its_limits_passes_and_writes_report_and_summary(service, tmp_path: Path):
    with load("steady", tmp_path, *service, "--duration", "1") as process:
        output, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    assert output.endswith("\nPASS\n")
    summary = read_summary(tmp_path)
    assert summary["verdict"] == "PASS"
    reads, sign_ups = (sum(each.values()) for each in summary["requests"].values())
    assert (reads, sign_ups) == (52, 6), "3,500 a minute, a tenth of them sign-ups"
    assert {each["name"] for each in summary["limits"]} == set(PROFILES["steady"].limits)
    page = (tmp_path / "report.html").read_text()
    assert "PASS" in page
    assert "<polyline" in page
    assert "response_time_percentile_0.99" in page, "locust's own plots"


def test_stall_breaks_a_limit_and_shows_in_all_requests_that_were_due_meanwhile(
    stack: Stack, service, tmp_path: Path
):
    options = (*service, "--duration", "1", "--writes", "0", "--rate", "12000")
    with load("steady", tmp_path, *options, read_p99="50") as process:
        start = wait_until(lambda: read_start(tmp_path / "requests.csv"))
        assert start
        wait_until(lambda: time.monotonic() > start + 0.2)
        with suspended(stack.services["read"]):
            stalled_at = time.monotonic()
            wait_until(lambda: time.monotonic() > stalled_at + 0.4)
            resumed_at = time.monotonic()
        output, _ = process.communicate(timeout=120)
    wait_until_readable(stack)
    assert process.returncode == 1
    assert "\nFAIL\n  read_p99 (99th percentile of reads): expected < 50 ms, measured " in output
    stalled = [
        request
        for request in read_requests(tmp_path / "requests.csv")
        if stalled_at + 0.02 < start + request.due < resumed_at
    ]
    assert len(stalled) > 0.3 * 200, "they were due, 200 a second, and were not answered"
    assert all(start + each.due + each.ms / 1000 > resumed_at - 0.001 for each in stalled), (
        "each latency counts from when the request was due (no coordinated omission)"
    )


def test_web_page_of_locust_is_served_and_ctrl_c_ends_all_processes(
    stack: Stack, service, tmp_path: Path
):
    with load("steady", tmp_path, *service, "--ui") as process:
        assert process.stdout
        url = process.stdout.readline().removeprefix("load-ui: ").split()[0]
        with httpx.Client(base_url=url, timeout=20) as page:
            wait_until(lambda: is_served(page))
            form = {"user_count": 5, "spawn_rate": 100, "host": stack.url, "rate": 600}
            assert page.post("/swarm", data=form).json()["success"]
            wait_until(lambda: page.get("/stats/requests").json()["total_rps"] > 0)
        locust = child_pids(process.pid)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "")
    assert locust
    assert [pid for pid in locust if Path(f"/proc/{pid}").exists()] == []


def is_served(page: httpx.Client) -> bool:
    try:
        return page.get("/").is_success
    except httpx.TransportError:
        return False


# A limit of each profile that no service can keep.
IMPOSSIBLE = {
    "steady": {"read_p50": "0.0001"},
    "peak": {"read_p99": "0.0001"},
    "spike": {"after_p99": "0.0001"},
    "soak": {"memory_growth": "-100"},
    "signup-storm": {"read_p50": "0.0001"},
    "cold": {"first_read": "0.0001"},
    "knee": {"knee": "1e9"},
}


@pytest.mark.skipif(not LONG, reason="LONG=1: each starts a service")
@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_fails_by_its_own_limit_on_a_service_of_its_own(profile: str, tmp_path: Path):
    ((metric, value),) = IMPOSSIBLE[profile].items()
    with load(profile, tmp_path, "--duration", "6", **{"knee": "0", metric: value}) as process:
        output, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (1, "")
    assert f"\nFAIL\n  {metric} ({METRICS[metric].description}): expected " in output
    summary = read_summary(tmp_path)
    assert [each["name"] for each in summary["limits"] if not each["kept"]] == [metric]
    assert summary["cores"].keys() > {*ROLLCALL, "locust"}
