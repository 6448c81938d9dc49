"""Steps of the start on stderr."""

import os
import pty
import subprocess
import sys

SCRIPT = """
import time
from local import progress
progress._SLOW = progress._INTERVAL = 0.05
with progress.show_step("starting it"):
    time.sleep(0.3)
"""


def test_slow_step_is_one_line_without_a_terminal() -> None:
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, timeout=30)
    assert (run.returncode, run.stderr) == (0, b"rollcall: starting it\n")


def test_step_has_a_spinner_on_a_terminal_which_is_erased() -> None:
    terminal, end = pty.openpty()
    subprocess.run([sys.executable, "-c", SCRIPT], stderr=end, timeout=30, check=True)
    os.close(end)
    output = os.read(terminal, 10_000).decode()
    os.close(terminal)
    assert "| starting it, 0 s" in output
    assert "/ starting it, 0 s" in output
    assert output.endswith("\r\033[K")
