"""The Python environment: interpreters, the installer, .venv."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from local.doctor import NOTE, OK, WRONG, Finding, Target

SUPPORTED = ("3.14", "3.13", "3.12")
_SYSTEM_PYTHON = "/usr/bin/python3"  # the first on the PATH may be a version manager's, not set up
_INSTALL = "put Python 3.12, 3.13 or 3.14 on the PATH (Debian 13 has 3.13)"


def check_python(target: Target) -> Finding:
    """A supported interpreter is here, as PYTHON_VERSION asks, or `.venv` has one."""
    asked = os.environ.get("PYTHON_VERSION", "")
    if asked and ".".join(asked.split(".")[:2]) not in SUPPORTED:
        remedy = "PYTHON_VERSION=3.13 make run, or unset it"
        return Finding("python", WRONG, f"PYTHON_VERSION={asked} is not supported", remedy)
    found = [version for version in SUPPORTED if _runs(shutil.which(f"python{version}"))]
    here = "{}.{}.{}".format(*sys.version_info)
    if found or _version(target.root / ".venv" / "bin" / "python") in SUPPORTED:
        return Finding("python", OK, ", ".join(found) or "that of .venv")
    if list((target.root / ".tools" / "python").glob("*")):
        return Finding("python", OK, "that which uv has fetched into .tools")
    if here.rpartition(".")[0] in SUPPORTED:
        return Finding("python", OK, here)
    result = f"{here} is the newest here, and is too old"
    return Finding(
        "python", WRONG, result, f"{_INSTALL}; or try: make run has uv fetch one from GitHub"
    )


def check_installer(target: Target) -> Finding:
    """uv, or a Python that can install it."""
    local = target.root / ".tools" / "bin" / "uv"
    if _runs(shutil.which("uv")) or _runs(str(local)):
        return Finding("installer", OK, "uv")
    for python in ("python3", _SYSTEM_PYTHON):
        path = shutil.which(python)
        if path and any(_runs(path, "-c", f"import {module}") for module in ("ensurepip", "pip")):
            return Finding("installer", OK, f"uv will be installed by {path}")
    if (target.root / ".venv" / ".installed").exists():
        return Finding("installer", NOTE, "no uv, venv or pip for the next installation")
    remedy = "apt-get install python3-venv (Debian), or install uv"
    return Finding("installer", WRONG, "no uv, and python3 has neither venv nor pip", remedy)


def check_venv(target: Target) -> Finding:
    """`.venv` is what requirements-dev.lock says, and its interpreter still exists."""
    venv = target.root / ".venv"
    installed = venv / ".installed"
    if not os.path.lexists(str(venv)):
        return Finding(".venv", OK, "not there yet: make run installs it")
    again = "rm -rf .venv && make run"
    version = _version(venv / "bin" / "python")
    if version not in SUPPORTED:
        result = f"its Python is {version}" if version else "its Python is gone"
        return Finding(".venv", WRONG, result, again)
    if not installed.exists():
        return Finding(".venv", WRONG, "its installation was interrupted", again)
    lock = target.root / "requirements-dev.lock"
    if lock.stat().st_mtime > installed.stat().st_mtime:
        result = "requirements-dev.lock is newer"
        return Finding(".venv", WRONG, result, "make run (it installs what has changed)")
    if made_for := _other_folder(venv):
        return Finding(".venv", WRONG, f"it was made for {made_for}", again)
    return Finding(".venv", OK, f"Python {version}")


def _other_folder(venv: Path) -> str:
    """Returns the folder that its scripts name if that is another: the tree was moved or copied."""
    script = venv / "bin" / "gunicorn"
    head = script.read_bytes()[:500].decode(errors="replace") if script.exists() else ""
    # In the first line, or, if the path has blanks, in the second, for sh to execute.
    named = re.search(r"""(/[^"'\n]*?)/bin/python""", head)
    return named[1] if named and Path(named[1]).resolve() != venv.resolve() else ""


def _version(python: Path) -> str:
    """Returns the minor version of an interpreter, such as 3.13; "" if it does not run."""
    return _run(str(python), "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()


def _runs(program: str | None, *arguments: str) -> bool:
    return bool(program) and _run(str(program), *(arguments or ("--version",)), mark="x") != ""


def _run(program: str, *arguments: str, mark: str = "") -> str:
    """Returns the output of a program, and `mark`; "" if it fails."""
    try:
        run = subprocess.run([program, *arguments], capture_output=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return run.stdout.decode(errors="replace") + mark
