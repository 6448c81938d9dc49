"""Metrics that processes share through files."""

import signal
import subprocess
import sys
from ast import literal_eval
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from api.observability.loop_metrics import LoopMetrics
from domain.metrics import registry

# A process that shares its metrics and executes each line of its input.
_PROGRAM = """
import sys
from pathlib import Path
from settings.logging_config import configure_logging
import logging.config
logging.config.dictConfig(configure_logging("INFO"))
from domain.metrics.multiprocess import share_metrics
share_metrics(Path(sys.argv[1]))
from domain.metrics import registry
from domain.metrics.exposition import render_process_metrics
from api.observability.loop_metrics import LoopMetrics
from domain.metrics.multiprocess import get_slot
for line in sys.stdin:
    print(repr(eval(line)), flush=True)
"""
_MISSES = "rollcall_profile_cache_misses_total"


class MetricsProcess:
    """A process that shares its metrics."""

    def __init__(self, directory: Path) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, expression: str) -> Any:
        assert self.popen.stdin
        assert self.popen.stdout
        self.popen.stdin.write(expression + "\n")
        self.popen.stdin.flush()
        return literal_eval(self.popen.stdout.readline())

    def count(self, times: int) -> None:
        self(f"registry.PROFILE_CACHE_MISSES.inc({times})")

    def samples(self) -> dict[str, float]:
        """Returns its scrape: number by name and labels."""
        lines = self("render_process_metrics().decode()").splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(number) for name, number in pairs}

    def kill(self) -> None:
        self.popen.send_signal(signal.SIGKILL)
        self.popen.wait(timeout=20)

    def close(self) -> None:
        self.popen.communicate(timeout=20)


@pytest.fixture
def start_process(tmp_path: Path) -> Iterator[Callable[..., MetricsProcess]]:
    with ExitStack() as undo:

        def start(directory: Path = tmp_path) -> MetricsProcess:
            process = MetricsProcess(directory)
            undo.enter_context(process.popen)
            undo.callback(process.kill)
            return process

        yield start


def test_metrics_of_running_processes_are_summed(start_process):
    one, other = start_process(), start_process()
    assert {one("get_slot()"), other("get_slot()")} == {0, 1}
    one.count(2)
    other.count(3)
    assert one.samples()[_MISSES] == other.samples()[_MISSES] == 5


@pytest.mark.parametrize("end", [MetricsProcess.kill, MetricsProcess.close])
def test_new_process_continues_the_counters_of_an_exited_one(start_process, tmp_path, end):
    first, bystander = start_process(), start_process()
    first.count(2)
    slot = first("get_slot()")
    assert bystander("get_slot()") != slot
    end(first)
    assert bystander.samples()[_MISSES] == 2
    files = set(tmp_path.glob("[ch]*.db"))
    successor = start_process()
    assert successor("get_slot()") == slot
    successor.count(1)
    assert bystander.samples()[_MISSES] == 3
    assert set(tmp_path.glob("[ch]*.db")) == files


def test_child_process_has_its_own_files(start_process):
    parent = start_process()
    forked = "(pid := __import__('os').fork()) or (registry.PROFILE_CACHE_MISSES.inc(7), "
    parent(f"{forked}__import__('os')._exit(get_slot())) and 0")
    assert parent("__import__('os').waitstatus_to_exitcode(__import__('os').wait()[1])") == 1
    parent.count(1)
    assert parent.samples()[_MISSES] == 8


def test_gauges_of_exited_processes_are_not_counted(start_process):
    one, other = start_process(), start_process()
    name = 'rollcall_read_processes{status="ok"}'
    for process in (one, other):
        process("registry.READ_PROCESSES.labels('ok').set(1)")
    assert one.samples()[name] == 2
    other.kill()
    assert one.samples()[name] == 1
    other = start_process()  # takes over its slot
    assert one.samples()[name] == 1
    other("registry.READ_PROCESSES.labels('ok').set(1)")
    assert one.samples()[name] == 2


def test_successor_does_not_continue_the_gauge_of_an_exited_process(start_process):
    first, bystander = start_process(), start_process()
    first("registry.CIRCUIT_BREAKERS_OPEN.labels('postgres').inc()")
    first.kill()
    successor = start_process()
    successor("registry.CIRCUIT_BREAKERS_OPEN.labels('postgres').inc(0)")
    assert bystander.samples()['rollcall_circuit_breakers_open{server="postgres"}'] == 0


def test_last_run_of_an_exited_process_is_kept(start_process):
    first, bystander = start_process(), start_process()
    first("registry.RELAY_LAST_RUN.set(7)")
    first.kill()
    assert bystander.samples()["rollcall_relay_last_run_timestamp_seconds"] == 7


def test_truncated_file_does_not_fail_the_scrape(start_process, tmp_path):
    first = start_process()
    first.count(2)
    first.kill()
    with (tmp_path / "counter_0.db").open("r+b") as file:
        file.seek(8)
        file.write(bytes(500))
    successor = start_process()
    successor.count(1)
    assert successor.samples()[_MISSES] == 1


def test_unusable_directory_is_logged_and_metrics_stay_in_memory(start_process, tmp_path):
    (tmp_path / "file").write_text("no directory")
    process = start_process(tmp_path / "file" / "metrics")
    process.count(2)
    assert process.samples()[_MISSES] == 2
    assert "metrics_write_failed" in process.popen.communicate(timeout=20)[1]


_DURATIONS = (0.0001, 0.0005, 0.003, 0.003, 10.0, 11.0)


def test_loop_metrics_equal_direct_metrics(start_process):
    loop, direct = start_process(), start_process()
    labels = "'GET', '/x', 200, 'redis'"
    loop("globals().update(m=LoopMetrics('read'))")
    for seconds in _DURATIONS:
        loop(f"m.observe(registry.HTTP_REQUEST_DURATION, {seconds}, {labels})")
        loop("m.inc(registry.PROFILE_CACHE_MISSES)")
        loop("m.inc(registry.REDIS_CONNECTS, 'profiles')")
        loop("m.flush()")
    loop("m.flush()")
    loop_samples = loop.samples()
    for seconds in _DURATIONS:
        direct(f"registry.HTTP_REQUEST_DURATION.labels({labels}).observe({seconds})")
        direct("registry.PROFILE_CACHE_MISSES.inc()")
        direct("registry.REDIS_CONNECTS.labels('profiles').inc()")
    direct_samples = direct.samples()
    assert loop_samples[_MISSES] == len(_DURATIONS)
    names = [name for name in direct_samples if not name.startswith("process_cpu")]
    assert len(names) > 15
    assert {name: direct_samples[name] for name in names} == pytest.approx(
        {name: 2 * loop_samples[name] for name in names}
    )


def test_loop_metrics_work_in_memory():
    metrics = LoopMetrics("test")
    metrics.observe(registry.HTTP_REQUEST_DURATION, 0.003, "GET", "/memory", 200, "redis")
    metrics.flush()
    labels = {"method": "GET", "route": "/memory", "status": "200", "source": "redis"}
    count = registry.REGISTRY.get_sample_value(
        "rollcall_http_request_duration_seconds_count", labels
    )
    cpu = registry.REGISTRY.get_sample_value("process_cpu_seconds_total", {"component": "test"})
    assert count == 1
    assert cpu
    assert cpu > 0
