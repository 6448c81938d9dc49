"""A child process that can be started, paused, ended and started again, and never outlives us."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from local.death import die_with_parent


class LocalError(Exception):
    """Something that the person at the terminal must read; the text says all there is to say."""


class Process:
    """One command, in a session of its own.

    Goes in: the command; `log`, the file that its output is appended to (None: our own output);
    `env`, its whole environment (None: ours); `stop_signal`, what asks it to end by itself;
    `death_signal`, what the kernel sends it when we are gone. Start it from the main thread (see
    `die_with_parent`).
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path | None = None,
        *,
        env: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.log = log
        self.env = env
        self.stop_signal = stop_signal
        self.death_signal = death_signal
        self.status: int | None = None
        self._popen: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self._log_start = 0

    @property
    def running(self) -> bool:
        """True from `start()` until its end was seen by one of the methods here."""
        return self._popen is not None

    @property
    def pid(self) -> int:
        """Its process id, which is its session's and process group's id too.

        Raises LocalError while it is not running.
        """
        if self._popen is None:
            raise LocalError(f"{self.name} is not running")
        return self._popen.pid

    def fileno(self) -> int:
        """A descriptor that becomes readable when the process ends; for `selectors`."""
        return self._pidfd

    def start(self) -> None:
        """Start the command; it runs when this returns.

        Raises LocalError if it runs already, OSError if there is no such program.
        """
        if self._popen is not None:
            raise LocalError(f"{self.name} is running already")
        parent = os.getpid()
        output = None
        if self.log:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            output = self.log.open("ab")
            self._log_start = output.tell()
        try:
            with _uninterrupted() as mask:
                self._popen = subprocess.Popen(
                    self.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output and subprocess.STDOUT,
                    env=self.env,
                    start_new_session=True,  # a Ctrl-C in the terminal is for us, not for it
                    preexec_fn=lambda: _before_exec(mask, parent, self.death_signal),
                )
                self._pidfd = os.pidfd_open(self._popen.pid)
                self.status = None
        finally:
            if output:
                output.close()

    def ended(self, timeout: float = 0) -> bool:
        """Wait up to `timeout` seconds for its end. True: it has ended, and `status` says how.

        What it left behind in its process group is killed then, while its id still cannot belong
        to anybody else.
        """
        if self._popen is None:
            return True
        if not await_end([self], timeout):
            return False
        os.killpg(self._popen.pid, signal.SIGKILL)
        self.status = self._popen.wait()
        os.close(self._pidfd)
        self._popen, self._pidfd = None, -1
        return True

    def send(self, signum: signal.Signals) -> None:
        """Send it a signal; nothing happens if it is not running."""
        if self._popen is not None:
            signal.pidfd_send_signal(self._pidfd, signum)

    def stop(self, timeout: float = 10) -> None:
        """Ask it to end, and kill it if it has not after `timeout` seconds."""
        stop_all([self], timeout)

    def kill(self) -> None:
        """End it with SIGKILL and wait until it is gone. Raises LocalError after 10 s."""
        self.send(signal.SIGKILL)
        if not self.ended(10):
            raise LocalError(f"{self.name} (pid {self.pid}) does not end, not even by SIGKILL")

    def pause(self) -> None:
        """Freeze it (SIGSTOP): it keeps its connections, and answers nothing."""
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run again after `pause()`."""
        self.send(signal.SIGCONT)

    def run(self, timeout: float) -> None:
        """Run the command to its end.

        Raises LocalError with the tail of its log if it fails or takes longer than `timeout`.
        """
        with self:
            if not self.ended(timeout):
                raise LocalError(f"{self.name} did not end within {timeout:g} s\n{self.tail()}")
        if self.status != 0:
            raise LocalError(f"{self.name} failed with status {self.status}\n{self.tail()}")

    def tail(self, lines: int = 20) -> str:
        """The last lines that it wrote to its log since it was started, for an error's text."""
        if self.log is None:
            return ""
        with self.log.open("rb") as file:
            file.seek(max(self._log_start, self.log.stat().st_size - 20_000))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.callback(self.stop)
            self.start()
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextmanager
def _uninterrupted() -> Iterator[set[signal.Signals | int]]:
    """Hold back Ctrl-C and SIGTERM until the end of the block; what was held back before.

    Interrupted between its fork and our note of it, a process would be nobody's to end.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
        yield before
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _before_exec(mask: Iterable[int], parent_pid: int, death_signal: signal.Signals) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)  # it must hear what we held back
    die_with_parent(parent_pid, death_signal)


def stop_all(processes: Iterable[Process], timeout: float = 10) -> None:
    """Ask them all to end, and kill those that have not after `timeout` seconds."""
    asked = list(processes)
    for process in asked:
        process.send(process.stop_signal)
    deadline = time.monotonic() + timeout
    for process in asked:
        if not process.ended(deadline - time.monotonic()):
            process.kill()


def await_end(processes: Iterable[Process | int], timeout: float | None) -> bool:
    """True as soon as one of these (or of these pidfds) has ended, False after `timeout` seconds.

    Goes in: running processes only; no `timeout` is for whoever also wakes up by signals.
    """
    poll = select.poll()
    for process in processes:
        poll.register(process, select.POLLIN)
    return bool(poll.poll(None if timeout is None else max(0.0, timeout) * 1000))
