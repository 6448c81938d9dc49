"""The bench's environment: the peers' Python, Node, and CPU pinning."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from local.node import find_node, install_npm_packages

ROOT = Path(__file__).resolve().parents[2]
FASTIFY = ROOT / "loadtests" / "peers" / "fastify"
RESULTS_DIR = ROOT / ".cache" / "bench"  # the results of the last run, and builds
# The Python environment of Rollcall and the Python peers: `make bench` passes one with all peers;
# in tests it is the current one.
VENV = ROOT / os.environ.get("BENCH_VENV", sys.prefix)
BENCH_PYTHON = str(VENV / "bin" / "python")


def node() -> Path:
    """Returns this machine's Node if it is new enough, else that of the peers' environment.

    Raises `StackError` if there is neither.
    """
    return find_node(VENV)


def install_fastify(folder: Path) -> None:
    """Installs Fastify and ioredis with npm unless they are; `folder` is for its log.

    Raises `StackError` with npm's output if it fails.
    """
    install_npm_packages(FASTIFY, VENV, folder / "npm.log")


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
