"""A progress bar for long commands, for terminals and logs."""

import time
from typing import TextIO

_REFRESH_INTERVAL = 0.1  # seconds, on a terminal
_LOG_INTERVAL = 5.0  # seconds, in a log
_BAR_WIDTH = 30  # characters


class ProgressBar:
    """A bar with rate and remaining time: redrawn on a terminal, else a line every few seconds.

    `unit`: what is counted (`people`); `initial_fraction`: where it starts, of the whole (0 to 1).
    """

    def __init__(self, stream: TextIO, unit: str, initial_fraction: float = 0.0) -> None:
        self._stream, self._unit, self._initial_fraction = stream, unit, initial_fraction
        self._is_terminal = stream.isatty()
        self._started_at = self._updated_at = time.monotonic()

    def update(self, count: int, fraction: float, position: str = "") -> None:
        """Shows the count and the fraction done; `position` is for the log only."""
        now = time.monotonic()
        if now - self._updated_at < (_REFRESH_INTERVAL if self._is_terminal else _LOG_INTERVAL):
            return
        self._updated_at = now
        line = self._format(count, fraction, now - self._started_at)
        if self._is_terminal:
            self._stream.write(f"\r\x1b[K{line}")
        else:
            self._stream.write(f"{line}  {position}".rstrip() + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Clears the line for further output."""
        if self._is_terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _format(self, count: int, fraction: float, elapsed: float) -> str:
        bar = "#" * int(_BAR_WIDTH * fraction)
        done = fraction - self._initial_fraction
        remaining = f"{elapsed * (1 - fraction) / done:,.0f} s left" if done > 0 else ""
        rate = f"{count / elapsed:,.0f} per second"
        return (
            f"[{bar:-<{_BAR_WIDTH}}] {fraction:4.0%}  {count:,} {self._unit}  {rate}  {remaining}"
        )
