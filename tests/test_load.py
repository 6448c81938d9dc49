"""`make load` in the small: what it measures, what it makes of it, and how it ends."""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from loadtests.report import Report, Request, Thresholds, percentile
from local.machine import child_pids
from tests.someone import Rollcall, eventually, reading_again

# Limits that no machine misses: what is tested here is the load, not the machine.
PATIENT = ("--reads-p99", "9000", "--sign-ups-p99", "9000", "--rate-tolerance", "25")
SHORT = ("--seconds", "2", "--warm-up", "0.5", "--seed-people", "20")
SHORTER = ("--seconds", "1", "--warm-up", "0")


def load(url: str, *options: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "loadtests", "--url", url, *SHORT, *options]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def row(output: str, kind: str) -> Sequence[float]:
    """The numbers in the line of one kind of request."""
    line = next(line for line in output.splitlines() if line.startswith(kind))
    return [float(word) for word in line.removeprefix(kind).split()]


def test_load_test_keeps_its_rate_and_passes(stack, rollcall: Rollcall):
    before = len(rollcall.http.get("/dev/mailbox.json").json())
    with load(stack.url, *PATIENT) as run:
        output, errors = run.communicate(timeout=60)
    assert (run.returncode, errors) == (0, "")
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
    after = len(rollcall.http.get("/dev/mailbox.json").json())
    assert 2 * sign_ups[0] <= delivered <= after - before - 2 * 20


def test_load_test_fails_on_errors_and_missed_thresholds(stack):
    stack.services["profiles"].stop()
    try:
        with load(stack.url, *PATIENT, *SHORTER, "--sign-ups-p99", "0.001") as run:
            output, errors = run.communicate(timeout=60)
    finally:
        stack.services["profiles"].start()
        reading_again(stack)
    assert (run.returncode, errors) == (1, "")
    _, _, violations = output.partition("\nFAIL\n")
    assert "  read: status 503: " in violations
    assert "sign-up:" not in violations
    assert "ms, not under 0.001 ms" in violations


def test_interrupted_load_test_ends_all_its_processes(stack, tmp_path: Path):
    with load(stack.url, "--seconds", "60") as run:
        locust = eventually(lambda: child_pids(run.pid))
        began = time.monotonic()
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=30)
    assert (run.returncode, errors) == (130, "")
    assert time.monotonic() - began < 15
    assert [pid for pid in locust if Path(f"/proc/{pid}").exists()] == []


def test_unreachable_service_is_a_one_line_error():
    with load("http://127.0.0.1:1") as run:
        output, errors = run.communicate(timeout=30)
    assert (run.returncode, errors) == (1, "")
    assert "FAIL\n  http://127.0.0.1:1 cannot be used: ConnectError" in output


def test_percentiles_are_exact():
    times = [float(n) for n in range(1000, 0, -1)]
    quantiles = (0.5, 0.95, 0.99, 0.999, 1.0)
    assert [percentile(times, quantile) for quantile in quantiles] == [500, 950, 990, 999, 1000]
    assert percentile([0.125], 0.5) == percentile([0.125], 1.0) == 0.125


THRESHOLDS = Thresholds(rate=60, rate_tolerance=2, p99={"read": 10, "sign-up": 100})
RIGHT = [Request("read", 9.99, "")] * 54 + [Request("sign-up", 99.9, "")] * 6


def make_report(
    requests: list[Request], errors: Sequence[str] = (), undelivered: int = 0
) -> Report:
    return Report(60, requests, [0.1], list(errors), messages=12, undelivered=undelivered)


@pytest.mark.parametrize(
    ("report", "violation"),
    [
        (
            make_report([*RIGHT[1:], Request("read", 10, "")]),
            "p99 of reads is 10.00 ms, not under 10",
        ),
        (make_report([*RIGHT[:-1], Request("sign-up", 100, "")]), "p99 of sign-ups is 100.00 ms"),
        (make_report(RIGHT[:58]), "58 requests a minute, -3.3 % off"),
        (make_report([*RIGHT, *RIGHT[:2]]), "62 requests a minute, +3.3 % off"),
        (make_report(RIGHT[:54] + RIGHT[:6]), "there was no sign-up"),
        (make_report(RIGHT, ["read: status 500"] * 2), "read: status 500: 2 times"),
        (make_report(RIGHT, undelivered=1), "1 of 12 messages were not delivered"),
    ],
)
def test_each_violation_is_reported(report: Report, violation: str):
    (text,) = report.violations(THRESHOLDS)
    assert violation in text
    assert report.verdict(THRESHOLDS) == f"FAIL\n  {text}"


def test_report_within_all_thresholds_passes():
    assert make_report(RIGHT).verdict(THRESHOLDS) == "PASS"
    assert make_report(RIGHT[:59]).verdict(THRESHOLDS) == "PASS"
