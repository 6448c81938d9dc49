"""`make run`: the whole service on this machine, until Ctrl-C or SIGTERM.

PORT (8000) and DATA_DIR (.data) come from the environment; so do DATABASE_URL, REDIS_URL and
QUEUE_URL, which name real servers to use instead of embedded ones. Exit status: 0 when asked to
end, 1 with a clear line on stderr for anything else. With `--parent PID` it also ends, as asked to,
when that process is gone: somebody may kill `make`, which is its parent, with -9.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from local.death import die_with_parent
from local.processes import LocalError
from local.product import Commands, product
from local.stack import Stack
from local.watch import watch

_GREETING = """\
ready: {url}

Sign somebody up:
  curl -i {url}/api/v1/signup/ -H 'Content-Type: application/json' \\
    -d '{{"name": "Ada", "surname": "Lovelace", "email": "ada@example.com",
         "phone": "+442079460000", "hobbies": ["engines"]}}'
and see
  {url}/dev/mailbox/    the e-mail and the SMS that confirm her
  {url}/api/v1/docs/    every call, to try out
  {url}/admin/          people, outbox, Huey's dashboard: user staff, password in
    {data_dir}/staff-password
Logs are in {data_dir}/logs/. Ctrl-C ends it all; the data stays."""


def main(commands: Callable[[int], Commands] = product) -> int:
    """Run the service until a signal comes or a part fails; the exit status."""
    arguments = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    arguments.add_argument("--parent", type=int, metavar="PID", help="the process to end with")
    parent = arguments.parse_args().parent
    try:
        stack = Stack(Path(os.environ.get("DATA_DIR") or ".data"), _port(), commands=commands)
        _heed_signals(stack)
        if parent:
            die_with_parent(parent, signal.SIGTERM)
        with stack:
            print(_GREETING.format(url=stack.url, data_dir=stack.data_dir), flush=True)
            watch(stack.parts)
    except KeyboardInterrupt:
        return 0
    except LocalError as error:
        print(f"rollcall: {error}", file=sys.stderr)
        return 1


def _port() -> int:
    text = os.environ.get("PORT") or "8000"
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise LocalError(f"PORT must be a number from 1 to 65535, and is {text!r}")
    return int(text)


def _heed_signals(stack: Stack) -> None:
    """Stops the stack gracefully at the first Ctrl-C, SIGTERM, or SIGHUP (the terminal was closed),
    and at once at the next.
    """

    def heed(_signum: int, _frame: FrameType | None) -> None:
        if not stack.stopping:
            raise KeyboardInterrupt
        stack.hurry()

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:  # nohup
            signal.signal(signum, heed)


if __name__ == "__main__":
    sys.exit(main())
