"""Progress of the start, on stderr: a spinner on a terminal, otherwise a line for each step that
takes over two seconds.
"""

import itertools
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_INTERVAL = 0.1  # seconds between two frames of the spinner
_SLOW = 2.0  # seconds after which a step is worth a line


@contextmanager
def show_step(text: str) -> Iterator[None]:
    """Shows a step while the block runs. For the main thread: a timer signal draws it, because a
    thread must not be running when processes are started with `preexec_fn`.
    """
    terminal = sys.stderr.isatty()
    frames = itertools.cycle("|/-\\")
    started = time.monotonic()

    def draw(*_: object) -> None:
        if terminal:
            _write(f"\r\033[K{next(frames)} {text}, {time.monotonic() - started:.0f} s")
        else:
            _write(f"rollcall: {text}\n")

    delay, interval = (_INTERVAL, _INTERVAL) if terminal else (_SLOW, 0.0)
    previous = signal.signal(signal.SIGALRM, draw)
    signal.setitimer(signal.ITIMER_REAL, delay, interval)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        if terminal:
            _write("\r\033[K")


def _write(text: str) -> None:
    os.write(2, text.encode())  # unbuffered: a signal may come within a print()
