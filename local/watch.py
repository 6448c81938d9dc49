"""Watching over processes: one that ends is started again, loudly and not without end."""

import sys
import time
from collections.abc import Mapping
from typing import NoReturn

from local.processes import LocalError, Process, await_end

_TIMES = 5  # at most so many restarts of one part
_WITHIN = 60.0  # in so many seconds
_BACKOFF = 0.1  # the wait before the first of them; each next one is twice as long


def watch(parts: Mapping[str, Process]) -> NoReturn:
    """Start again whichever part ends, and say so on stderr.

    Raises LocalError when a part ended a sixth time within 60 seconds.
    """
    deaths: dict[str, list[float]] = {name: [] for name in parts}
    due: dict[str, float] = {}  # the parts that wait for their next start, and when that is
    while True:
        for name in [name for name, at in due.items() if at <= time.monotonic()]:
            del due[name]
            _start(parts[name])
        for name, part in parts.items():
            if name not in due and part.ended():
                due[name] = time.monotonic() + _count(part, deaths[name])
        running = [part for part in parts.values() if part.running]
        await_end(running, min(due.values()) - time.monotonic() if due else None)


def _say(text: str) -> None:
    print(f"rollcall: {text}", file=sys.stderr, flush=True)


def _start(part: Process) -> None:
    try:
        part.start()
    except LocalError as error:  # a server that did not come up: one more death, counted as such
        _say(str(error))


def _count(part: Process, deaths: list[float]) -> float:
    """Note and announce a death; how many seconds to wait before the next start."""
    now = time.monotonic()
    deaths[:] = [at for at in deaths if at > now - _WITHIN] + [now]
    if len(deaths) > _TIMES:
        raise LocalError(
            f"{part.name} ended again (status {part.status}) after {_TIMES} restarts within "
            f"{_WITHIN:g} s; giving up. Its log says:\n{part.tail()}"
        )
    again = f"starting it again ({len(deaths)} of at most {_TIMES} times in {_WITHIN:g} s)"
    _say(f"{part.name} ended, status {part.status}; {again}")
    return _BACKOFF * 2.0 ** (len(deaths) - 1)
