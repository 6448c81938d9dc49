"""`make dev`: Rollcall's processes are restarted when a source file changes."""

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from local.processes import Process, StackError, wait_any
from local.stack import Stack

_ROOT = Path(__file__).resolve().parent.parent
_FOLDERS = ("api", "domain", "settings", "workers")
_SUFFIXES = {".py", ".html", ".css", ".js", ".txt", ".po"}
_INTERVAL = 0.5  # seconds between two looks at some 200 files, which take a few milliseconds


def supervise_and_reload(stack: Stack) -> NoReturn:
    """Restarts Rollcall's processes, without its servers, when a source file has changed.

    A file that cannot be compiled is reported, and what runs goes on. A process that was killed, or
    a server, is restarted at once; one that exited at the next change.
    """
    files = _read_modification_times()
    pending: set[str] = set()
    while True:
        running = [process for process in stack.services.values() if process.is_running]
        wait_any(running, _INTERVAL)
        for process in running:
            if process.wait():
                _report_exit(process, stack)
        if changed := _find_changes(files, files := _read_modification_times()):
            pending |= set(changed)
            if all(map(_can_be_compiled, pending)):
                _print(f"{', '.join(changed[:3])}: changed, restarting")
                _restart(stack, pending)
                pending = set()


def _report_exit(process: Process, stack: Stack) -> None:
    text = f"{process.name} exited, status {process.status}"
    if process.name in stack.own_services and (process.status or 0) >= 0:
        _print(f"{text}; it starts again at the next change. Its log:\n{process.log_tail()}")
        return
    _print(f"{text}; restarting it")
    try:
        process.start()
    except StackError as error:
        _print(str(error))


def _can_be_compiled(name: str) -> bool:
    path = _ROOT / name
    try:
        if path.suffix == ".py" and path.exists():
            compile(path.read_bytes(), name, "exec")
    except SyntaxError as error:
        _print(f"{name}, line {error.lineno}: {error.msg}; not restarted")
        return False
    return True


def _restart(stack: Stack, changed: set[str]) -> None:
    started = time.monotonic()
    try:
        stack.restart(setup=any("/migrations/" in name for name in changed))
    except StackError as error:
        _print(str(error))
    else:
        _print(f"ready again after {time.monotonic() - started:.1f} s")


def _read_modification_times() -> dict[str, int]:
    times = {}
    for folder in _FOLDERS:
        for path in (_ROOT / folder).rglob("*"):
            if path.suffix in _SUFFIXES:
                with suppress(FileNotFoundError):  # an editor's temporary file
                    times[str(path.relative_to(_ROOT))] = path.stat().st_mtime_ns
    return times


def _find_changes(before: Mapping[str, int], now: Mapping[str, int]) -> list[str]:
    return sorted(name for name in before.keys() | now if before.get(name) != now.get(name))


def _print(text: str) -> None:
    print(f"rollcall: {text}", file=sys.stderr, flush=True)
