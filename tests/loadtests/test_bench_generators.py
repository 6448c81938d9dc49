"""The two generators of the mixed load: paced reads and clients that sign up."""

import json
import sys
from pathlib import Path
from typing import Any

from loadtests.bench import load
from loadtests.bench.mixed_load import MixedLoad, Writers
from local.processes import Process
from local.stack import Stack
from tests.loadtests.conftest import StartServer
from tests.support.client import ApiClient

OK = (0, 200, "", False)
CREATED = (0, 201, "", False)
UNAVAILABLE = (0, 503, "retry-after: 1\r\n", False)


def paced_reads(port: int, folder: Path, rate: int = 100) -> dict[str, Any]:
    (folder / "tokens").write_text("token")
    argv = [sys.executable, "-m", "loadtests.bench.paced_reads", f"--port={port}", "--seconds=1"]
    argv += [f"--rate={rate}", f"--tokens={folder / 'tokens'}", f"--out={folder / 'out'}"]
    Process("reads", argv, folder / "reads.log").run(60)
    results: dict[str, Any] = json.loads((folder / "out").read_text())
    return results


def sign_ups(port: int, folder: Path, *options: str) -> dict[str, float]:
    (folder / "bodies").write_text("{}\n[]")
    argv = [sys.executable, "-m", "loadtests.bench.writers", f"--port={port}", "--clients=4"]
    argv += [f"--bodies={folder / 'bodies'}", "--seconds=1", *options]
    return load.run_generator(argv, 1, folder)


def test_slow_read_adds_to_the_latency_of_the_reads_behind_it(
    start_server: StartServer, tmp_path: Path
):
    results = paced_reads(start_server(OK, OK, (0.5, 200, "", False), OK), tmp_path)
    schedule_lag = [ms for ms in results["latencies_ms"] if ms >= 100]
    assert len(results["latencies_ms"]) == 100
    assert len(schedule_lag) >= 40, "those due in the first 400 of the 500 ms"
    assert max(schedule_lag) >= 500
    assert results["failed"] == 0
    assert len(results["schedule_lag_ms"]) <= 60, "no lag where a response was awaited"


def test_failed_read_is_counted_and_the_connection_reopened(
    start_server: StartServer, tmp_path: Path
):
    closing = (0, 503, "", True)
    results = paced_reads(start_server(OK, closing, OK), tmp_path)
    assert results["failed"] == 2, "the 503, and the read on the connection that was closed"
    assert len(results["latencies_ms"]) == 100


def test_client_waits_for_retry_after_on_503(start_server: StartServer, tmp_path: Path):
    results = sign_ups(start_server(UNAVAILABLE), tmp_path)
    assert 0 <= results["unavailable"] <= 4 * 3, "at least half a second between two"
    assert results["failed"] == 0


def test_client_that_ignores_retry_after_retries_at_once(start_server: StartServer, tmp_path: Path):
    results = sign_ups(start_server(UNAVAILABLE), tmp_path, "--ignore-retry-after")
    assert results["unavailable"] > 4 * 3
    assert results["created"] == 0


def test_client_reconnects_when_its_connection_is_closed(start_server: StartServer, tmp_path: Path):
    results = sign_ups(start_server((0, 201, "", True)), tmp_path)
    assert results["created"] > 4
    assert results["p50_ms"] > 0


def test_reads_are_measured_during_sign_ups(stack: Stack, api: ApiClient, tmp_path: Path):
    token = api.sign_up().token
    (tmp_path / "tokens").write_text(token)
    servers_used = MixedLoad(stack, tmp_path, rate=50, seconds=1).read_during_sign_ups(
        Writers("two clients", 2)
    )
    assert len(servers_used.reads["latencies_ms"]) == 50
    assert servers_used.reads["failed"] == 0
    assert servers_used.per_second("created") > 0
    assert servers_used.sign_ups["failed"] == 0
    assert 0 < servers_used.cores < 2
