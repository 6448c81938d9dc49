"""Interrupts during the start of a process."""

import subprocess
import sys

# The child interrupts its parent before it executes its program.
INTERRUPTED = """
import os, signal, sys
from local.machine import child_pids
from local.processes import Process
signum = getattr(signal, sys.argv[1])
def on_signal(*_):
    raise KeyboardInterrupt
signal.signal(signum, on_signal)
us = os.getpid()
os.register_at_fork(after_in_child=lambda: os.kill(us, signum))
try:
    with Process("sleep", ["sleep", "60"]):
        print("not interrupted")
except KeyboardInterrupt:
    print("left behind:", child_pids(us))
"""


def test_interrupted_start_leaves_no_process():
    for signum in ("SIGINT", "SIGTERM"):
        argv = [sys.executable, "-c", INTERRUPTED, signum]
        run = subprocess.run(argv, capture_output=True, text=True, timeout=30)
        assert (run.stdout, run.stderr) == ("left behind: []\n", "")
