"""Child processes that exit with this one, have a log, and can be stopped gracefully."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import Self

from local.signals import prepare_child, signals_deferred


class StackError(Exception):
    """An error to print for the user; its text is complete."""


class Process:
    """One command, in its own session, which the kernel ends when this process dies.

    `log`: the file that its output is appended to (None: our output); `env`: its whole environment
    (None: ours); `stop_signal`: requests a graceful exit. Start it from the main thread (see
    `local.signals.set_parent_death_signal`).
    """

    force_stop_signal = signal.SIGKILL  # ends it at once; sent when this process dies

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path | None = None,
        *,
        env: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.log = log
        self.env = env
        self.stop_signal = stop_signal
        self.status: int | None = None
        self._popen: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self._log_start = 0

    @property
    def is_running(self) -> bool:
        """True from `start()` until one of these methods has seen its exit."""
        return self._popen is not None

    @property
    def pid(self) -> int:
        """Its process id, also the id of its session and process group.

        Raises `StackError` while it is not running.
        """
        if self._popen is None:
            raise StackError(f"{self.name} is not running")
        return self._popen.pid

    def fileno(self) -> int:
        """Returns a pidfd, readable once the process has exited; for `wait_any`."""
        return self._pidfd

    def start(self) -> None:
        """Starts the command; it runs when this returns.

        Raises `StackError` if it is running already, `OSError` if there is no such program.
        """
        if self._popen is not None:
            raise StackError(f"{self.name} is running already")
        if self.log:
            self.log.parent.mkdir(parents=True, exist_ok=True)
        with (
            signals_deferred() as mask,
            self.log.open("ab") if self.log else nullcontext() as output,
        ):
            self._log_start = output.tell() if output else 0
            self._popen = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output and subprocess.STDOUT,
                env=self.env,
                start_new_session=True,  # it does not receive a Ctrl-C of the terminal
                preexec_fn=partial(prepare_child, os.getpid(), self.force_stop_signal, mask),
            )
            self._pidfd = os.pidfd_open(self._popen.pid)
        self.status = None

    def wait(self, timeout: float = 0) -> bool:
        """Waits up to `timeout` seconds for its exit; True: it has exited, with `status`.

        The rest of its process group is killed before the group's id can be reused.
        """
        if self._popen is None:
            return True
        if not wait_any([self], timeout):
            return False
        os.killpg(self._popen.pid, signal.SIGKILL)
        self.status = self._popen.wait()
        os.close(self._pidfd)
        self._popen, self._pidfd = None, -1
        return True

    def send(self, signum: signal.Signals) -> None:
        """Sends it a signal, if it is running."""
        if self._popen is not None:
            signal.pidfd_send_signal(self._pidfd, signum)

    def stop(self, timeout: float = 10) -> None:
        """Requests its exit, and kills it after `timeout` seconds."""
        stop_all([self], timeout)

    def kill(self) -> None:
        """Kills it with SIGKILL and waits for its exit. Raises `StackError` after 10 s."""
        self.send(signal.SIGKILL)
        if not self.wait(10):
            raise StackError(f"{self.name} (pid {self.pid}) does not exit after SIGKILL")

    def run(self, timeout: float) -> None:
        """Runs the command until it exits.

        Raises `StackError` with the tail of its log if it fails or takes longer than `timeout`.
        """
        with self:
            if not self.wait(timeout):
                raise StackError(f"{self.name} did not end within {timeout:g} s\n{self.log_tail()}")
        if self.status != 0:
            raise StackError(f"{self.name} failed with status {self.status}\n{self.log_tail()}")

    def log_tail(self, lines: int = 20) -> str:
        """Returns the last lines of its log since it was started."""
        if self.log is None:
            return ""
        with self.log.open("rb") as file:
            file.seek(max(self._log_start, self.log.stat().st_size - 20_000))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self.stop)
            self.start()
            stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def stop_all(processes: Iterable[Process], timeout: float = 10) -> None:
    """Requests the exit of all, and kills the remaining after `timeout` seconds."""
    pending = list(processes)
    for process in pending:
        process.send(process.stop_signal)
    deadline = time.monotonic() + timeout
    for process in pending:
        if not process.wait(deadline - time.monotonic()):
            process.kill()


def wait_any(processes: Iterable[Process | int], timeout: float | None) -> bool:
    """Returns True once one of the processes (or pidfds) has exited, False after `timeout` seconds.

    Only for running processes. Without a timeout, signals interrupt it.
    """
    poll = select.poll()
    for process in processes:
        poll.register(process, select.POLLIN)
    return bool(poll.poll(None if timeout is None else max(0.0, timeout) * 1000))


def with_nice(nice: int, argv: Sequence[str]) -> list[str]:
    """Returns a command that runs at a nice value, as far as this user may set it.

    Where the kernel groups processes by session (autogroup), a nice value counts only inside the
    group: so the group gets it too. Values below 0 need CAP_SYS_NICE (as root), or `ulimit -e`.
    """
    script = (
        f"echo {nice} 2>/dev/null >/proc/self/autogroup; "
        f'renice -n {nice} -p $$ >/dev/null 2>&1; exec "$@"'
    )
    return ["sh", "-c", script, "sh", *argv]


def with_real_time_priority(argv: Sequence[str], *, of_children: bool) -> list[str]:
    """Returns a command that runs as soon as it is woken, where this user may set that (as root, or
    by `ulimit -r`): it has a real-time priority (sched(7), SCHED_RR), and so have its children if
    `of_children`.

    A nice value alone gives a process more time, but it still waits for the slice of who is
    running, 3 to 4 ms.
    """
    option = "" if of_children else "--reset-on-fork"
    script = f'chrt --rr {option} --pid 1 $$ >/dev/null 2>&1; exec "$@"'
    return ["sh", "-c", script, "sh", *argv]
