"""`make run`: the whole service on this machine, until Ctrl-C or SIGTERM.

PORT (8000) and DATA_DIR (.data) come from the environment; so do DATABASE_URL, REDIS_URL and
QUEUE_URL, which name real servers to use instead of embedded ones. Exit status: 0 after a
signal, 1 with a message on stderr otherwise. With `--parent-pid PID` it also stops when that
process exits: `make`, its parent, may be killed with SIGKILL. With `--reload` (`make dev`) it
restarts Rollcall's processes when a source file changes. With `--example` (`make example`) it
serves examples/web too, on EXAMPLE_PORT (8001).
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType

from local.commands import Commands, rollcall_commands
from local.example import ExampleSite
from local.greeting import render_greeting
from local.processes import StackError
from local.progress import show_step
from local.reload import supervise_and_reload
from local.signals import set_parent_death_signal
from local.stack import Stack
from local.supervisor import supervise


def main(commands: Callable[[int, str], Commands] | None = None) -> int:
    """Runs the service, or other `commands`, until a signal or a failure; returns the status."""
    options = _parse_arguments()
    if commands is None:
        # One of each is quicker to restart, and to follow in a debugger.
        commands = partial(rollcall_commands, workers=1 if options.reload else 2)
    try:
        example = ExampleSite(_port("EXAMPLE_PORT", 8001)) if options.example else None
        stack = _make_stack(commands, example)
        _install_signal_handlers(stack)
        if options.parent_pid:
            set_parent_death_signal(options.parent_pid, signal.SIGTERM)
        with stack:
            print(f"ready: {stack.url}", flush=True)
            print(render_greeting(stack), flush=True)
            if example:
                print(f"\nexample: {example.url(stack.url)}", flush=True)
            if options.reload:
                supervise_and_reload(stack)
            supervise(stack.services)
    except KeyboardInterrupt:
        return 0
    except StackError as error:
        print(f"rollcall: {error}", file=sys.stderr)
        return 1


def _parse_arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    arguments.add_argument("--parent-pid", type=int, metavar="PID", help="exit with this process")
    arguments.add_argument("--reload", action="store_true", help="restart when a file changes")
    arguments.add_argument("--example", action="store_true", help="serve examples/web too")
    return arguments.parse_args()


def _make_stack(commands: Callable[[int, str], Commands], example: ExampleSite | None) -> Stack:
    return Stack(
        Path(os.environ.get("DATA_DIR") or ".data"),
        _port("PORT", 8000),
        env=example.service_environment() if example else None,
        commands=example.add_to(commands) if example else commands,
        step=show_step,
    )


def _port(variable: str, default: int) -> int:
    text = os.environ.get(variable) or str(default)
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise StackError(f"{variable} must be a number from 1 to 65535, and is {text!r}")
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
