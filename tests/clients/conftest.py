"""What the tests of the clients share: addresses, Node.js and the compiled TypeScript client."""

import fcntl
import itertools
import subprocess
import time
from pathlib import Path

import pytest

from clients.generate import CLIENTS
from local.node import find_node, install_npm_packages, npm_program_command
from local.processes import StackError

TYPESCRIPT = CLIENTS / "typescript"
_numbers = itertools.count(time.time_ns() // 1_000_000 % 1_000_000)


def run(*argv: str, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Returns what a program prints; it has to succeed."""
    process = subprocess.run(
        argv, cwd=cwd, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


@pytest.fixture
def number() -> str:
    """Six digits that no other person's address has."""
    return f"{next(_numbers) % 1_000_000:06}"


@pytest.fixture(scope="session")
def node() -> str:
    """Node.js, with the packages of the TypeScript client."""
    try:
        path = find_node()
        install_npm_packages(TYPESCRIPT)
    except StackError as error:
        pytest.skip(str(error))
    return str(path)


@pytest.fixture(scope="session")
def built(node: str) -> Path:
    """The folder of the TypeScript client, compiled with its tests: what has changed since the
    last time, by one process at a time.
    """
    dist = TYPESCRIPT / "dist"
    dist.mkdir(exist_ok=True)
    with (dist / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        incremental = ["--incremental", "--tsBuildInfoFile", str(dist / ".tsbuildinfo")]
        run(*npm_program_command(TYPESCRIPT, "tsc", *incremental), cwd=TYPESCRIPT)
    return TYPESCRIPT
