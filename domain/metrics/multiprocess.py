"""Metrics shared between processes through files, with prometheus-client's multi-process mode.

Each process writes files of its own, and whichever process is scraped adds them all up. By default
prometheus-client names the files by pid; here they are named by a slot, a small number that a
process holds for as long as it lives, because
- a process that takes over a slot goes on counting where the one before has ended, so no sum ever
  decreases, and there are never more files than processes have run at the same time;
- two containers that share a volume may both have a process 7, but not a slot.

A gauge of processes that run (`livesum`) must not count those that have exited: its files are
deleted by the next process that takes over the slot, and by each scrape.
"""

import fcntl
import json
import os
import struct
from contextlib import suppress
from itertools import count
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # prometheus-client's own
# Bytes reserved on disk: a write to a mapped page that finds the disk full would be a SIGBUS.
_RESERVED = {
    "counter": 1 << 16,
    "gauge_livesum": 1 << 16,
    "gauge_max": 1 << 16,
    "histogram": 1 << 20,
}

_slot: int | None = None
_lock_fd: int | None = None


def share_metrics(directory: Path) -> None:
    """Makes this process and its children share their metrics in `directory`, if it is writable.

    To be called before `domain.metrics.registry` is imported: by gunicorn's main process, in the
    hook `on_starting`, and by manage.py. If the directory is unusable, that is logged, and each
    process keeps its metrics to itself.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _delete_unreadable(directory)
        _acquire_slot(directory)
    except OSError as error:
        log.error("metrics_write_failed", error_type=type(error).__name__)
        os.environ.pop(VARIABLE, None)
        return
    _release_slot()
    os.environ[VARIABLE] = str(directory)


def get_slot() -> int:
    """Returns the number by which this process names its files; no other living process has it."""
    return _acquire_slot(Path(os.environ[VARIABLE])) if _slot is None else _slot


def _acquire_slot(directory: Path) -> int:
    global _slot, _lock_fd  # one for the process, as are the files
    for slot in count():
        fd = os.open(directory / f"slot_{slot}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until the process exits
        except BlockingIOError:
            os.close(fd)
            continue
        for gauge in directory.glob(f"gauge_live*_{slot}.db"):  # of the process before
            gauge.unlink(missing_ok=True)
        _reserve(directory, slot)
        _slot, _lock_fd = slot, fd
        return slot
    raise AssertionError  # count() has no end


def _release_slot() -> None:
    global _slot, _lock_fd
    if _lock_fd is not None:
        os.close(_lock_fd)
    _slot = _lock_fd = None


# A child process needs a slot of its own; it must not hold its parent's either.
os.register_at_fork(after_in_child=_release_slot)


def _reserve(directory: Path, slot: int) -> None:
    for kind, size in _RESERVED.items():
        path = directory / f"{kind}_{slot}.db"
        if not path.exists():
            new = path.with_suffix(".new")  # else a scrape could find it empty
            with new.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, size)
            new.rename(path)


def delete_dead_gauges(directory: Path) -> None:
    """Deletes the gauges of processes that have exited."""
    for path in directory.glob("gauge_live*.db"):
        slot = path.stem.rpartition("_")[2]
        fd = os.open(directory / f"slot_{slot}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        with suppress(BlockingIOError):  # it runs
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
        os.close(fd)


def _delete_unreadable(directory: Path) -> None:
    """Deletes files that a crash of the machine left half written; they would fail every scrape."""
    from prometheus_client.mmap_dict import MmapedDict  # not before it is needed

    for path in directory.glob("*.db"):
        try:
            for key, *_ in MmapedDict.read_all_values_from_file(path):  # type: ignore[no-untyped-call]  # no types
                json.loads(key)
        except FileNotFoundError:
            continue  # of a process that has just exited
        except (RuntimeError, ValueError, struct.error):
            path.unlink(missing_ok=True)
