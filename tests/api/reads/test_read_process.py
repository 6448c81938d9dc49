"""The read process: its modules, memory and CPU priority."""

import os
import subprocess
from pathlib import Path

import httpx
import pytest

from local.commands import READ_NICE
from local.stack import Stack
from tests.support.client import ApiClient, read_process
from tests.support.faults import child_pids

# gunicorn's settings of the read process; when a worker exits it prints its modules.
CONFIG = """
import os, sys
from api.http_server.gunicorn_config import *

def worker_exit(server, worker):
    with open(os.environ["MODULES_FILE"], "w") as file:
        file.write("\\n".join(sys.modules))
"""
ABSENT = {"django", "rest_framework", "corsheaders", "redis", "django_redis", "psycopg", "huey",
          "phonenumbers", "opentelemetry", "domain.postgres",
          "domain.projection", "workers", "settings.base"}  # fmt: skip  # one glance


def test_read_process_loads_no_django_no_sql_and_no_redis_py(
    stack: Stack, api: ApiClient, tmp_path: Path
):
    person = api.sign_up()
    (tmp_path / "read_and_tell.py").write_text(CONFIG)
    names = tmp_path / "modules"
    env = {"MODULES_FILE": str(names), "PYTHONPATH": str(tmp_path)}
    with read_process(stack, "read_and_tell", **env) as (read, url):
        assert httpx.get(f"{url}/api/v1/profile/", headers=person.bearer).status_code == 200
        assert httpx.get(f"{url}/readyz").status_code == 200
        read.stop()
    loaded = set(names.read_text().split())
    assert {"api.reads.app", "uvloop", "hiredis"} <= loaded
    assert loaded & ABSENT == set()


def get_resident_megabytes(pid: int) -> float:
    """Returns the resident set size, shared pages included (VmRSS in proc(5))."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"no VmRSS of {pid}")


def test_read_process_uses_at_most_45_megabytes(stack: Stack, api: ApiClient):
    person = api.sign_up()
    with read_process(stack) as (read, url), httpx.Client(base_url=url) as client:
        for _ in range(500):
            assert client.get("/api/v1/profile/", headers=person.bearer).status_code == 200
        (worker,) = child_pids(read.pid)
        assert get_resident_megabytes(worker) <= 45


def get_nice(pid: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, pid)


def get_autogroup_nice(pid: int) -> int | None:
    """Returns the nice value of the session's group; None without autogroups."""
    try:
        return int(Path(f"/proc/{pid}/autogroup").read_text().rpartition("nice ")[2])
    except FileNotFoundError:
        return None


def test_read_processes_have_the_highest_cpu_priority(stack: Stack):
    reads = stack.services["read"].pid
    for name in ("write", "worker", "relay"):
        pid = stack.services[name].pid
        for process in (pid, *child_pids(pid)):
            assert get_nice(process) > get_nice(reads)
        if (group := get_autogroup_nice(pid)) is not None:
            assert group > (get_autogroup_nice(reads) or 0)


def test_reads_and_their_redis_come_before_postgres_where_permitted(stack: Stack):
    if subprocess.run(["sh", "-c", f"renice -n {READ_NICE} -p $$"], check=False).returncode:
        pytest.skip("this user may not raise a priority")
    for name in ("read", "profiles"):
        pid = stack.services[name].pid
        assert {get_nice(process) for process in (pid, *child_pids(pid))} == {READ_NICE}
        assert get_autogroup_nice(pid) in (READ_NICE, None)


def test_reads_and_their_redis_run_as_soon_as_they_are_woken_where_permitted(stack: Stack):
    """Else each waits for the slice of who is running, up to three times a read."""
    if subprocess.run(["sh", "-c", "chrt --rr --pid 1 $$"], check=False).returncode:
        pytest.skip("this user may not set a real-time priority")
    reads, redis = stack.services["read"].pid, stack.services["profiles"].pid
    assert {os.sched_getscheduler(pid) for pid in (reads, *child_pids(reads))} == {os.SCHED_RR}
    assert os.sched_getscheduler(redis) == os.SCHED_RR | os.SCHED_RESET_ON_FORK
    assert os.sched_getscheduler(stack.services["write"].pid) == os.SCHED_OTHER
