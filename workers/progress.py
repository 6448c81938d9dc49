"""How far a long command is, on a stream that people or logs read."""

import time
from typing import TextIO

_REDRAWN_EVERY = 0.1  # seconds, on a terminal
_LINE_EVERY = 5.0  # seconds, elsewhere
_BAR = 30  # characters


class Progress:
    """A bar with rate and time left: redrawn on a terminal, else a line now and then.

    Goes in: what is counted (`people`); where it begins, as a share of the whole (0 to 1).
    """

    def __init__(self, out: TextIO, what: str, share: float = 0.0) -> None:
        self._out, self._what, self._from = out, what, share
        self._redrawn = out.isatty()
        self._began = self._shown = time.monotonic()

    def show(self, count: int, share: float, place: str = "") -> None:
        """So many are done, and such a share of the whole; `place` tells a log where that is."""
        now = time.monotonic()
        if now - self._shown < (_REDRAWN_EVERY if self._redrawn else _LINE_EVERY):
            return
        self._shown = now
        line = self._line(count, share, now - self._began)
        if self._redrawn:
            self._out.write(f"\r\x1b[K{line}")
        else:
            self._out.write(f"{line}  {place}".rstrip() + "\n")
        self._out.flush()

    def end(self) -> None:
        """Make room for what comes next."""
        if self._redrawn:
            self._out.write("\r\x1b[K")
            self._out.flush()

    def _line(self, count: int, share: float, elapsed: float) -> str:
        bar = "#" * int(_BAR * share)
        done = share - self._from
        left = f"{elapsed * (1 - share) / done:,.0f} s left" if done > 0 else ""
        rate = f"{count / elapsed:,.0f} a second"
        return f"[{bar:-<{_BAR}}] {share:4.0%}  {count:,} {self._what}  {rate}  {left}"
