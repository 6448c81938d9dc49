"""What the tests of the clients share: addresses, Node.js and the compiled TypeScript client."""

import itertools
import shutil
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
def built(node: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The TypeScript package, compiled in a folder of its own, with its tests."""
    folder: Path = tmp_path_factory.mktemp("typescript")
    tsc = npm_program_command(TYPESCRIPT, "tsc", "--outDir", str(folder / "dist"))
    run(*tsc, cwd=TYPESCRIPT)
    for name in ("package.json", "README.md"):
        shutil.copy(TYPESCRIPT / name, folder / name)
    (folder / "node_modules").symlink_to(TYPESCRIPT / "node_modules")
    return folder
