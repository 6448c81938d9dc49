"""`make run`: the whole service on this machine, until Ctrl-C or SIGTERM.

PORT (8000) and DATA_DIR (.data) come from the environment; so do DATABASE_URL, REDIS_URL and
QUEUE_URL, which name real servers to use instead of embedded ones. Exit status: 0 after a
signal, 1 with a message on stderr otherwise. With `--parent-pid PID` it also stops when that
process exits: `make`, its parent, may be killed with SIGKILL.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from local.commands import Commands, rollcall_commands
from local.processes import StackError, set_parent_death_signal
from local.stack import Stack
from local.supervisor import supervise

_READY_MESSAGE = """\
ready: {url}

Sign up:
  curl -i {url}/api/v1/signup/ -H 'Content-Type: application/json' \\
    -d '{{"name": "Ada", "surname": "Lovelace", "email": "ada@example.com",
         "phone": "+442079460000", "hobbies": ["engines"]}}'
Then open
  {url}/dev/mailbox/    the confirmation e-mail and SMS
  {url}/api/v1/docs/    the API documentation
  {url}/admin/          people, outbox, Huey's dashboard: user staff, password in
    {data_dir}/staff-password
Logs are in {data_dir}/logs/. Ctrl-C stops everything; the data is kept."""


def main(commands: Callable[[int, str], Commands] = rollcall_commands) -> int:
    """Runs the service until a signal or a failure; returns the exit status."""
    arguments = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    arguments.add_argument("--parent-pid", type=int, metavar="PID", help="exit with this process")
    parent_pid = arguments.parse_args().parent_pid
    try:
        stack = Stack(Path(os.environ.get("DATA_DIR") or ".data"), _port(), commands=commands)
        _install_signal_handlers(stack)
        if parent_pid:
            set_parent_death_signal(parent_pid, signal.SIGTERM)
        with stack:
            print(_READY_MESSAGE.format(url=stack.url, data_dir=stack.data_dir), flush=True)
            supervise(stack.services)
    except KeyboardInterrupt:
        return 0
    except StackError as error:
        print(f"rollcall: {error}", file=sys.stderr)
        return 1


def _port() -> int:
    text = os.environ.get("PORT") or "8000"
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise StackError(f"PORT must be a number from 1 to 65535, and is {text!r}")
    return int(text)


def _install_signal_handlers(stack: Stack) -> None:
    """Stops the stack gracefully at the first SIGINT, SIGTERM or SIGHUP, at once at the next."""

    def on_signal(_signum: int, _frame: FrameType | None) -> None:
        if not stack.stopping:
            raise KeyboardInterrupt
        stack.force_stop()

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:  # nohup
            signal.signal(signum, on_signal)


if __name__ == "__main__":
    sys.exit(main())
