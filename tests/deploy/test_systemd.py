"""The units of deploy/systemd/, judged by systemd itself; and sockets as systemd passes them on."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from local.processes import Process
from local.stack import Stack
from local.tcp_ports import HOST, find_free_port
from tests.support.client import wait_until

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "deploy/systemd"
SYSTEMD = Path("/usr/lib/systemd/system")
MAX_EXPOSURE = 2.0  # of 10: what systemd-analyze calls OK begins at 2.4

needs_systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="needs systemd (on Debian: apt-get install systemd)"
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root folder with the units, and with programs where the units expect them."""
    root = tmp_path_factory.mktemp("root")
    shutil.copytree(UNITS, root / "etc/systemd/system")
    system = root / "usr/lib/systemd/system"
    system.mkdir(parents=True)
    for target in SYSTEMD.glob("*.target"):
        shutil.copy(target, system / target.name, follow_symlinks=True)
    programs = root / "opt/rollcall/.venv/bin"
    programs.mkdir(parents=True)
    for name in ("python", "gunicorn"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    return root


def analyze(root: Path, command: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    argv = ["systemd-analyze", command, f"--root={root}", "--man=no", "--no-pager", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


@needs_systemd
def test_units_are_valid(root: Path):
    names = [unit.name for unit in sorted(UNITS.iterdir()) if unit.is_file()]
    assert len(names) == 7
    result = analyze(root, "verify", "--recursive-errors=no", *names)
    assert (result.returncode, result.stderr) == (0, "")


def test_services_run_with_production_settings():
    """`manage.py` by itself takes those of development."""
    drop_in = (UNITS / "rollcall-.service.d/common.conf").read_text()
    assert "\nEnvironment=DJANGO_SETTINGS_MODULE=settings.prod " in drop_in


@needs_systemd
@pytest.mark.parametrize("unit", sorted(unit.name for unit in UNITS.glob("*.service")))
def test_services_are_sandboxed(root: Path, unit: str):
    result = analyze(root, "security", "--offline=true", unit)
    (exposure,) = re.findall(r"Overall exposure level for .*: ([0-9.]+)", result.stdout)
    assert float(exposure) <= MAX_EXPOSURE


@pytest.mark.skipif(
    not shutil.which("systemd-socket-activate"), reason="needs systemd-socket-activate"
)
def test_read_process_serves_the_socket_that_systemd_passes_on(stack: Stack):
    """With the very command of the unit, which has no `--bind`."""
    unit = (UNITS / "rollcall-read@.service").read_text().replace("\\\n", " ")
    (command,) = re.findall(r"^ExecStart=(.+)$", unit, re.MULTILINE)
    program, *arguments = command.split()
    assert program == "/opt/rollcall/.venv/bin/gunicorn"
    port = find_free_port()
    env = {"METRICS_DIR": str(stack.data_dir / f"metrics-{port}"), "PYTHONPATH": str(ROOT)}
    argv = ["systemd-socket-activate", f"--listen={HOST}:{port}"]
    argv += [f"--setenv={name}" for name in (*stack.environment(), *env)]
    argv += [str(Path(sys.executable).parent / "gunicorn"), *arguments]
    log = stack.data_dir / "logs" / f"activated-{port}.log"
    with Process("read", argv, log, env=os.environ | stack.environment() | env) as process:
        wait_until(lambda: "Listening on" in log.read_text())
        response = httpx.get(f"http://{HOST}:{port}/livez", timeout=20)
        assert response.status_code == 200, process.log_tail()
        assert f"Listening at: http://{HOST}:{port}" in log.read_text()
