"""A compiled copy of the product, for `make bench` and the tests (see `deploy/native.py`)."""

import fcntl
import hashlib
import shutil
import sys
import sysconfig
import time
from pathlib import Path

from local.processes import Process

_ROOT = Path(__file__).resolve().parents[1]
_FOLDER = _ROOT / ".cache" / "native"
_SCRIPT = _ROOT / "deploy" / "native.py"
PRODUCT = ("api", "domain", "settings", "workers", "manage.py")
_TIMEOUT = 600.0  # seconds
_MAX_AGE = 24 * 60 * 60.0  # seconds, after which another version's copy is removed


def missing_requirement() -> str:
    """Returns what this machine lacks to compile; empty if nothing."""
    if not (shutil.which("gcc") or shutil.which("cc")):
        return "there is no C compiler (on Debian: apt-get install gcc libc6-dev)"
    headers = sysconfig.get_path("include")
    return "" if Path(headers, "Python.h").exists() else f"there is no Python.h in {headers}"


def compiled_copy() -> Path:
    """Returns a folder with the compiled product, in .cache/.

    It is compiled once for each version of the sources, which takes a minute of CPU. Raises
    `StackError` with the compiler's output.
    """
    _FOLDER.mkdir(parents=True, exist_ok=True)
    folder = _FOLDER / _digest()
    with (_FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "compiled").exists():
            _remove_old()
            _compile(folder)
            (folder / "compiled").touch()
    return folder


def is_loaded(pid: int) -> bool:
    """Returns whether a process runs what is compiled."""
    return "rollcall__mypyc" in Path(f"/proc/{pid}/maps").read_text()


def _compile(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in PRODUCT:
        source = _ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name)
        else:
            shutil.copy(source, folder)
    argv = [sys.executable, str(_SCRIPT), str(folder)]
    Process("native", argv, _FOLDER / "native.log").run(_TIMEOUT)


def _remove_old() -> None:
    for folder in _FOLDER.iterdir():
        if folder.is_dir() and time.time() - folder.stat().st_mtime > _MAX_AGE:
            shutil.rmtree(folder)


def _digest() -> str:
    """Returns a digest of the sources and the interpreter."""
    digest = hashlib.sha256(sys.version.encode())
    sources = [file for name in PRODUCT for file in (_ROOT / name).rglob("*")]
    for file in sorted([*sources, _ROOT / "manage.py", _SCRIPT]):
        if file.is_file() and file.suffix not in (".pyc", ".mo"):
            digest.update(f"{file.relative_to(_ROOT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:16]
