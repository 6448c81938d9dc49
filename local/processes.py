"""Child processes that can be started, suspended, stopped and restarted, and never outlive us."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from local.parent_death_signal import set_parent_death_signal


class StackError(Exception):
    """An error to print for the user; its text is complete."""


class Process:
    """One command, in its own session.

    `log`: the file that its output is appended to (None: our output); `env`: its whole environment
    (None: ours); `stop_signal`: requests a graceful exit; `parent_death_signal`: sent by the kernel
    when this process dies. Start it from the main thread (see `set_parent_death_signal`).
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path | None = None,
        *,
        env: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        parent_death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.log = log
        self.env = env
        self.stop_signal = stop_signal
        self.parent_death_signal = parent_death_signal
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
        """Returns a pidfd, readable once the process has exited; for `selectors`."""
        return self._pidfd

    def start(self) -> None:
        """Starts the command; it runs when this returns.

        Raises `StackError` if it is running already, `OSError` if there is no such program.
        """
        if self._popen is not None:
            raise StackError(f"{self.name} is running already")
        parent = os.getpid()
        output = None
        if self.log:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            output = self.log.open("ab")
            self._log_start = output.tell()
        try:
            with _signals_blocked() as mask:
                self._popen = subprocess.Popen(
                    self.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output and subprocess.STDOUT,
                    env=self.env,
                    start_new_session=True,  # it does not receive a Ctrl-C of the terminal
                    preexec_fn=lambda: _before_exec(mask, parent, self.parent_death_signal),
                )
                self._pidfd = os.pidfd_open(self._popen.pid)
                self.status = None
        finally:
            if output:
                output.close()

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

    def suspend(self) -> None:
        """Suspends it (SIGSTOP): it keeps its connections and does not respond."""
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Resumes it after `suspend()`."""
        self.send(signal.SIGCONT)

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


@contextmanager
def _signals_blocked() -> Iterator[set[signal.Signals | int]]:
    """Blocks Ctrl-C, SIGTERM and SIGHUP in the block; yields what was blocked before.

    An interrupt between fork and assignment would leave a process that nothing stops.
    """
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
        yield previous
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def _before_exec(mask: Iterable[int], parent_pid: int, parent_death_signal: signal.Signals) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)  # the child must receive the blocked signals
    set_parent_death_signal(parent_pid, parent_death_signal)


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
