"""Interrupts during the start of a process."""

import random
import subprocess
import sys

import pytest

from local import tcp_ports
from local.tcp_ports import find_free_port
from tests.local.test_supervisor import read_command_line
from tests.support.client import wait_until

# The child interrupts its parent before it executes its program.
INTERRUPTED = """
import os, signal, sys
from local.processes import Process
signum = getattr(signal, sys.argv[1])
def on_signal(*_):
    raise KeyboardInterrupt
signal.signal(signum, on_signal)
parent = os.getpid()
def interrupt_parent():
    print(os.getpid(), flush=True)
    os.kill(parent, signum)
os.register_at_fork(after_in_child=interrupt_parent)
try:
    with Process("sleep", ["sleep", "60"]):
        print("not interrupted")
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("signum", ["SIGINT", "SIGTERM"])
def test_interrupted_start_leaves_no_process(signum: str):
    argv = [sys.executable, "-c", INTERRUPTED, signum]
    run = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    pid, outcome = run.stdout.split("\n", 1)
    assert (outcome, run.stderr) == ("interrupted\n", "")
    wait_until(lambda: not read_command_line(int(pid)), timeout=10)


def test_free_port_is_offered_to_one_process_only(monkeypatch: pytest.MonkeyPatch):
    """Before a server listens on it, too: stacks that start at the same moment do not collide."""
    port = find_free_port()
    monkeypatch.setattr(tcp_ports, "_PORT_RANGE", range(port, port + 1))
    monkeypatch.setattr(random, "sample", lambda ports, _: list(ports))
    with pytest.raises(OSError, match="none is free"):
        find_free_port()
