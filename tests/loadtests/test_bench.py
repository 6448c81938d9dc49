"""`make bench` at a small scale: arithmetic, generator, and one real run without peers."""

import json
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from loadtests import resource_usage
from loadtests.bench import (
    chart,
    debian,
    equivalence,
    load,
    peers,
    python_build,
    reads,
    toolchain,
)
from loadtests.bench.comparison import Comparison
from loadtests.bench.config import Config
from loadtests.bench.fixtures import new_dataset
from loadtests.bench.paired_rounds import Ratio, Target, ratio, run_interleaved
from loadtests.bench.people import Dataset
from loadtests.bench.report import table
from loadtests.bench.servers import Server
from local.processes import Process, StackError
from local.tcp_ports import find_free_port
from tests.loadtests.conftest import is_listening
from tests.support.client import wait_until

TINY = Config(people=300, hot=10, rounds=2, seconds=0.2, warm_up=1)
# Responds 401 to every request.
ALWAYS_401 = """
import asyncio, sys
async def refuse(reader, writer):
    while await reader.readuntil(b"\\r\\n\\r\\n"):
        writer.write(b"HTTP/1.1 401 Unauthorized\\r\\ncontent-length: 2\\r\\n\\r\\nno")
async def main():
    await (await asyncio.start_server(refuse, "127.0.0.1", int(sys.argv[1]))).serve_forever()
asyncio.run(main())
"""
# Closes each connection after a request.
CLOSES_CONNECTION = ALWAYS_401.replace("writer.write(", "return writer.close()  # ")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dataset]:
    with new_dataset(100, tmp_path_factory.mktemp("crowd")) as people:
        yield people


@pytest.fixture
def closing_port(tmp_path: Path) -> Iterator[int]:
    """Returns the port of a server that closes its connections."""
    port = find_free_port()
    argv = [sys.executable, "-c", CLOSES_CONNECTION, str(port)]
    with Process("hanging up", argv, tmp_path / "log"):
        wait_until(lambda: is_listening(port))
        yield port


@pytest.fixture
def unauthorized_server(dataset: Dataset, tmp_path: Path) -> Iterator[Server]:
    port = find_free_port()
    process = Process("refusing", [sys.executable, "-c", ALWAYS_401, str(port)], tmp_path / "log")
    server = Server("refusing", "Refusing", process, port, dataset)
    server.start()
    yield server
    process.stop()


def test_rollcall_is_measured_without_peers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(load, "has_wrk", lambda: False)
    sections = reads.run(TINY, tmp_path, with_peers=False)
    uniform, hot, memory = sections
    for section in (uniform, hot):
        results = section.results["rollcall"]
        assert results["ratio_both"] == {"median": 1, "minimum": 1, "maximum": 1}
        assert len(results["rounds"]) == 2
        for one in results["rounds"]:
            assert one["reads_per_second"] > 50
            assert 0 < one["p50_ms"] <= one["p99_ms"]
            assert one["server_us"] > 0
            assert 20 < one["memory_mb"] < 500
    redis, process = memory.targets
    assert 1 < redis.measured < 6
    assert 10 < process.measured < 500
    assert "Rollcall" in str(uniform)
    assert set(reads.chart_groups(sections)) == {reads.UNIFORM_KEYS, reads.HOT_KEYS}


def test_different_response_is_reported_with_server_and_request(
    unauthorized_server: Server, dataset: Dataset
):
    with pytest.raises(StackError, match="Refusing answers "):
        equivalence.check([unauthorized_server])


def test_failed_reads_are_an_error(
    unauthorized_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(load, "has_wrk", lambda: False)
    with pytest.raises(StackError, match="reads of Refusing failed"):
        load.measure(unauthorized_server, 0.1, tmp_path)


def handles_sigterm(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def test_generator_keeps_its_rate_and_stops_on_sigterm(unauthorized_server: Server):
    argv = load.generator_argv(
        "reads", unauthorized_server.port, unauthorized_server.dataset.tokens, rate=1000, seconds=60
    )
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as generator:
        pid = generator.pid
        wait_until(lambda: handles_sigterm(pid))  # before, imports take CPU, and SIGTERM ends it
        started_at = resource_usage.cpu_seconds([pid])
        wait_until(lambda: resource_usage.cpu_seconds([pid]) > started_at + 0.2)
        generator.terminate()
        output, _ = generator.communicate(timeout=20)
    result = json.loads(output)
    assert result["failed"] == result["requests"]
    assert result["requests"] / result["seconds"] == pytest.approx(1000, rel=0.3)
    assert result["seconds"] < 60


def test_request_on_a_broken_connection_fails_once(closing_port: int, tmp_path: Path):
    (tmp_path / "tokens").write_text("token")
    argv = load.generator_argv(
        "reads", closing_port, tmp_path / "tokens", connections=4, seconds=0.1
    )
    result = load.run_generator(argv, 0.1, tmp_path)
    assert (result["requests"], result["failed"]) == (4, 4)


def test_cpu_time_includes_all_descendants():
    burn_cpu = "import time\nwhile time.process_time() < 0.2: pass\n"
    child = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn_cpu + 'input()'!r}])"
    )
    with subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE) as parent:
        pids = wait_until(
            lambda: len(results := resource_usage.process_tree(parent.pid)) == 2 and results
        )
        assert pids
        wait_until(lambda: resource_usage.cpu_seconds(pids) >= 0.2)
        assert resource_usage.cpu_seconds(pids) > resource_usage.cpu_seconds([parent.pid]) + 0.1
        memory = resource_usage.memory(parent.pid)
        assert 0 < memory.uss <= memory.pss <= memory.rss < 200
        assert resource_usage.memory_mb(pids) > memory.pss
        parent.communicate(b"\n")


def test_ratios_are_computed_per_round():
    # The ratio of the medians would be 20 / 100: slow rounds would count double.
    assert ratio([10, 20, 90], [100, 40, 100]) == Ratio(0.5, 0.1, 0.9)
    with pytest.raises(ValueError, match="shorter"):
        ratio([1, 2], [1])


def test_each_round_starts_with_another_item():
    calls: list[str] = []

    def measure(one: str) -> int:
        calls.append(one)
        return len(calls)

    results = run_interleaved(["a", "b", "c"], 3, measure)
    assert "".join(calls) == "abcbcacab"
    assert results == [[1, 6, 8], [2, 4, 9], [3, 5, 7]]


@pytest.mark.parametrize(
    ("target", "verdict"),
    [
        (Target("x", 0.8, 0.8), "reached"),
        (Target("x", 0.88, 0.8), "missed by 10 %"),
        (Target("x", 10_000, 10_000, at_least=True), "reached"),
        (Target("x", 7_500, 10_000, at_least=True), "missed by 25 %"),
    ],
)
def test_target_reports_whether_it_is_reached(target: Target, verdict: str):
    assert str(target).endswith(f" {verdict}")
    assert target.reached == (verdict == "reached")


def test_ratio_includes_redis_on_both_sides(unauthorized_server: Server):
    rollcall = [
        new_measurement(server_us=20, redis_us=10),
        new_measurement(server_us=20, redis_us=4),
    ]
    other = [new_measurement(server_us=40, redis_us=20), new_measurement(server_us=40, redis_us=20)]
    comparison = Comparison(unauthorized_server, other, rollcall)
    assert comparison.both == Ratio(0.45, 0.4, 0.5)
    assert comparison.alone == Ratio(0.5, 0.5, 0.5)
    assert comparison.row()[4:7] == ["40.0", "20.0", "60.0"]


def new_measurement(server_us: float, redis_us: float) -> load.Measurement:
    return load.Measurement(1, 0, 1, 1, server_us, redis_us, 1, 1, 0)


def test_peer_without_its_packages_is_skipped_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("GOCODE", "LUA_MODULE", "SBIN"):
        monkeypatch.setattr(debian, name, tmp_path / "none")
    starts, notes = peers.get_available()
    assert peers.go_fasthttp not in starts
    assert peers.nginx_constant not in starts
    assert peers.fastify in starts
    assert "golang-github-gomodule-redigo-dev" in notes[0]
    assert notes[1].endswith("apt-get install nginx-light libnginx-mod-http-lua")


def test_only_the_current_interpreter_is_replaced_in_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(toolchain, "VENV", tmp_path)
    own_bin = Path(sys.executable).parent
    argv = ["sh", "-c", 'exec "$@"', sys.executable, str(own_bin / "gunicorn"), "--bind", "x/y:z"]
    results = toolchain.with_server_python(argv)
    program = str(tmp_path / "bin" / Path(sys.executable).name)
    assert results == [*argv[:3], program, str(tmp_path / "bin" / "gunicorn"), *argv[5:]]


@pytest.mark.parametrize(
    ("options", "debian_build", "text"),
    [
        ("'--with-lto' '--enable-optimizations'", False, "--enable-optimizations --with-lto"),
        ("'--enable-shared'", False, "not an optimised build"),
        ("'--enable-shared'", True, "have PGO and LTO"),
    ],
)
def test_python_description_includes_its_build_options(options: str, debian_build: bool, text: str):
    build = {"version": "3.13.5", "OPT": "-O3", "CONFIG_ARGS": options, "debian": debian_build}
    assert text in python_build.describe(build)
    assert python_build.describe_python().startswith(f"Python {platform.python_version()}")


def test_chart_stacks_redis_on_the_server_to_one_scale():
    uniform = {"Rollcall": (40.0, 10.0), "Other & Co": (60.0, 40.0)}
    groups = {"random <keys>": uniform, "hot": {"Rollcall": (25.0, 0.0)}}
    root = ElementTree.fromstring(chart.svg("CPU", groups))
    server, redis, other, own_redis_us, hot, _ = (
        float(rect.get("width", 0)) for rect in root.findall(".//{*}rect")
    )
    assert server + redis == pytest.approx((other + own_redis_us) / 2, abs=0.2)
    assert server == pytest.approx(redis * 4, abs=0.5)
    assert server + redis == pytest.approx(hot * 2, abs=0.2)
    texts = [text.text for text in root.findall(".//{*}text")]
    assert "60.0 + 40.0 µs, 2.0 times" in texts
    assert "random <keys>" in texts


def test_table_is_aligned():
    assert table(["", "µs"], [["a", "1.0"], ["bcd", "10.0"]]) == [
        "       µs",
        "a     1.0",
        "bcd  10.0",
    ]
