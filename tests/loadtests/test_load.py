"""`make load` at a small scale: measurements, report and shutdown."""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from loadtests.report import Report, Request, Thresholds, percentile
from tests.support.client import ApiClient, wait_until, wait_until_readable
from tests.support.faults import child_pids

# Thresholds that every machine meets: the load test is tested, not the machine.
TOLERANT = ("--reads-p99", "9000", "--sign-ups-p99", "9000", "--rate-tolerance", "25")
SHORT = ("--seconds", "2", "--warm-up", "0.5", "--seed-people", "20")
SHORTER = ("--seconds", "1", "--warm-up", "0")


def load(url: str, *options: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "loadtests", "--url", url, *SHORT, *options]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def row(output: str, request_type: str) -> Sequence[float]:
    """Returns the numbers in the line of one kind of request."""
    line = next(line for line in output.splitlines() if line.startswith(request_type))
    return [float(argument) for argument in line.removeprefix(request_type).split()]


def test_load_test_keeps_its_rate_and_passes(stack, api: ApiClient):
    before = len(api.http.get("/dev/mailbox.json").json())
    with load(stack.url, *TOLERANT) as process:
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert output.endswith("\nPASS\n")
    assert "warm-up of 0.5 s that is not counted" in output
    reads, sign_ups = row(output, "read"), row(output, "sign-up")
    assert reads[0] + sign_ups[0] == pytest.approx(3500 / 60 * 2, rel=0.25)
    assert 0.7 < reads[0] / (reads[0] + sign_ups[0]) < 1
    assert reads[2] == sign_ups[2] == 0, "none failed"
    for times in (reads[3:], sign_ups[3:]):
        assert times[0] > 0
        assert times == sorted(times)
    delivered = int(output.partition("messages delivered: ")[2].split()[0])
    after = len(api.http.get("/dev/mailbox.json").json())
    assert 2 * sign_ups[0] <= delivered <= after - before - 2 * 20


def test_load_test_fails_on_errors_and_missed_thresholds(stack):
    stack.services["profiles"].stop()
    try:
        with load(stack.url, *TOLERANT, *SHORTER, "--sign-ups-p99", "0.001") as process:
            output, errors = process.communicate(timeout=60)
    finally:
        stack.services["profiles"].start()
        wait_until_readable(stack)
    assert (process.returncode, errors) == (1, "")
    _, _, violations = output.partition("\nFAIL\n")
    assert "  read: status 503: " in violations
    assert "sign-up:" not in violations
    assert "ms, not under 0.001 ms" in violations


def test_interrupted_load_test_ends_all_its_processes(stack, tmp_path: Path):
    with load(stack.url, "--seconds", "60") as process:
        locust = wait_until(lambda: child_pids(process.pid))
        started_at = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "")
    assert time.monotonic() - started_at < 15
    assert [pid for pid in locust if Path(f"/proc/{pid}").exists()] == []


def test_unreachable_service_is_a_one_line_error():
    with load("http://127.0.0.1:1") as process:
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (1, "")
    assert "FAIL\n  http://127.0.0.1:1 cannot be used: ConnectError" in output


def test_percentiles_are_exact():
    times = [float(n) for n in range(1000, 0, -1)]
    quantiles = (0.5, 0.95, 0.99, 0.999, 1.0)
    assert [percentile(times, quantile) for quantile in quantiles] == [500, 950, 990, 999, 1000]
    assert percentile([0.125], 0.5) == percentile([0.125], 1.0) == 0.125


THRESHOLDS = Thresholds(rate=60, rate_tolerance=2, p99={"read": 10, "sign-up": 100})
PASSING = [Request("read", 9.99, "")] * 54 + [Request("sign-up", 99.9, "")] * 6


def make_report(
    requests: list[Request], errors: Sequence[str] = (), undelivered: int = 0
) -> Report:
    return Report(60, requests, [0.1], list(errors), messages=12, undelivered=undelivered)


@pytest.mark.parametrize(
    ("report", "violation"),
    [
        (
            make_report([*PASSING[1:], Request("read", 10, "")]),
            "p99 of reads is 10.00 ms, not under 10",
        ),
        (make_report([*PASSING[:-1], Request("sign-up", 100, "")]), "p99 of sign-ups is 100.00 ms"),
        (make_report(PASSING[:58]), "58 requests a minute, -3.3 % off"),
        (make_report([*PASSING, *PASSING[:2]]), "62 requests a minute, +3.3 % off"),
        (make_report(PASSING[:54] + PASSING[:6]), "there was no sign-up"),
        (make_report(PASSING, ["read: status 500"] * 2), "read: status 500: 2 times"),
        (make_report(PASSING, undelivered=1), "1 of 12 messages were not delivered"),
    ],
)
def test_each_violation_is_reported(report: Report, violation: str):
    (text,) = report.violations(THRESHOLDS)
    assert violation in text
    assert report.verdict(THRESHOLDS) == f"FAIL\n  {text}"


def test_report_within_all_thresholds_passes():
    assert make_report(PASSING).verdict(THRESHOLDS) == "PASS"
    assert make_report(PASSING[:59]).verdict(THRESHOLDS) == "PASS"
