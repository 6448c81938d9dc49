"""A read process under test, replaced once it is broken; its sockets and log are checked."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self

import httpx

from local.stack import Stack
from local.tcp_ports import HOST
from tests.support.client import ApiClient, read_process, wait_until
from tests.support.faults import child_pids, resume, suspend
from tests.support.hostile_client import TIMEOUT
from tests.support.hostile_responses import Person
from tests.support.reference import Reference

_PEOPLE = 10
_LISTENING = "0A"  # in /proc/net/tcp
_FAILURE = re.compile(r'Traceback|"level": "(error|critical)"|"exception"')
# Django logs a request for an unknown host as an error; gunicorn a stall of the machine. A loop
# that hangs is noticed by the bystander first.
_NO_FAILURE = re.compile("django.security|WORKER TIMEOUT")
_timer = threading.Event()


class ReadServer:
    """A read process next to the stack's; `env` is for it alone.

    `people` are the clients' profiles; the first is the bystander's. `timeout`, in seconds, is for
    everything that must happen.
    """

    def __init__(self, stack: Stack, **env: str) -> None:
        self.timeout = TIMEOUT
        self._stack = stack
        self._env = env
        self._exit = ExitStack()
        self.has_write_process = "WRITE_UPSTREAM" not in env
        with httpx.Client(base_url=stack.url, timeout=20) as http:
            signed_up = [ApiClient(http).sign_up() for _ in range(_PEOPLE)]
            self.people = [Person(each.token, each.profile().content) for each in signed_up]
        self._reference = Reference(stack.port, self.people[0].token)

    def __enter__(self) -> Self:
        self._start()
        self._reference.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._reference.__exit__()
        self._stop()

    def replace(self) -> None:
        """Replaces the process by a new one."""
        self._stop()
        self._start()

    def _start(self) -> None:
        main, url = self._exit.enter_context(read_process(self._stack, **self._env))
        self.port = int(url.rpartition(":")[2])
        self._main = main.pid
        self._worker = 0
        assert main.log is not None
        self._log = self._exit.enter_context(main.log.open())
        self._bystander: socket.socket | None = None
        self._read_at = 0.0
        self.new_failures()

    def _stop(self) -> None:
        self._close_bystander()
        self._exit.close()

    # --- The bystander ---------------------------------------------------------------------------

    def serves_bystander(self) -> None:
        """Asserts that a client on a connection of its own reads its profile within a second."""
        started_at = time.monotonic()
        status = self._read()
        took = time.monotonic() - started_at
        assert status == 200, f"a bystander's read is a {status}"
        assert took < 1, f"a bystander's read took {took:.1f} s"

    def _read(self) -> int:
        """Returns the status of one read; 0 if there was no response."""
        if self._bystander is None or time.monotonic() - self._read_at > 0.3:  # it may be closed
            self._close_bystander()
            self._bystander = socket.create_connection((HOST, self.port), timeout=TIMEOUT)
        person = self.people[0]
        head = f"GET /api/v1/profile/ HTTP/1.1\r\nHost: {HOST}\r\n"
        self._bystander.sendall(f"{head}Authorization: Bearer {person.token}\r\n\r\n".encode())
        response = b""
        while not response.endswith(person.profile) and (data := self._bystander.recv(100_000)):
            response += data
            if not response.startswith(b"HTTP/1.1 200 "[: len(response)]):
                break
        self._read_at = time.monotonic()
        return int(response[9:12] or 0)

    def _close_bystander(self) -> None:
        if self._bystander is not None:
            self._bystander.close()
        self._bystander = None

    def accepts_writes(self) -> None:
        """Asserts that the process still passes requests on to the write process."""
        status = self.proxied_status()
        assert status == 404, f"a request to the write process is a {status}"

    def proxied_status(self) -> int:
        """Returns the status of a request that the write process responds to with 404."""
        return httpx.get(f"http://{HOST}:{self.port}/nowhere", timeout=TIMEOUT).status_code

    def stalled_since(self, moment: float) -> bool:
        """Returns whether the machine, and not this process, delayed clients since then."""
        return self._reference.stalled_since(moment)

    # --- What the process holds ------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The pid of the serving worker, which gunicorn may replace."""
        if not Path(f"/proc/{self._worker}/fd").exists():
            self._worker = wait_until(lambda: child_pids(self._main))[0]
        return self._worker

    def sockets(self) -> set[str]:
        """Returns the sockets that the process has open, without the bystander's."""
        self._close_bystander()
        return self._open_sockets()

    def connections(self) -> dict[int, int]:
        """Returns the connections of the process: bytes buffered by the kernel, by client port."""
        held = self._open_sockets()
        own = f":{self.port:04X} "
        lines = Path("/proc/net/tcp").read_text().splitlines()
        # Number, own and remote address, state, bytes to send and to read, ..., inode.
        rows = [line.split() for line in lines if own in line]
        return {
            int(row[2].rpartition(":")[2], 16): int(row[4].partition(":")[0], 16)
            for row in rows
            if row[1].endswith(own[:-1]) and row[3] != _LISTENING and f"socket:[{row[9]}]" in held
        }

    def _open_sockets(self) -> set[str]:
        names = set()
        for file in Path(f"/proc/{self.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # it was closed just now
                names.add(str(file.readlink()))
        return {name for name in names if name.startswith("socket:")}

    def remaining(self, timeout: float, each_time: Callable[[], None] = lambda: None) -> set[int]:
        """Returns the client ports of the connections that remain after `timeout` seconds, or
        nothing once there are none. Calls `each_time` at each poll.
        """
        self._close_bystander()
        deadline, pause = time.monotonic() + timeout, 0.001
        while (ports := self.connections().keys()) and time.monotonic() < deadline:
            each_time()
            _timer.wait(pause)
            pause = min(0.05, 2 * pause)
        return set(ports)

    def memory(self) -> int:
        """Returns the bytes that the process needs: its PSS, and its sockets' send buffers."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        pss = 1024 * int(rollup.partition("\nPss:")[2].split()[0])
        return pss + sum(self.connections().values())

    def cpu_seconds(self) -> float:
        """Returns the CPU time that its event loop has used."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[0]) / 1e9

    def new_failures(self) -> list[str]:
        """Returns the lines of its log that report a failure, since the last call."""
        return [
            line for line in self._log if _FAILURE.search(line) and not _NO_FAILURE.search(line)
        ]

    @contextmanager
    def redis_stalled(self) -> Iterator[None]:
        """Suspends the profile Redis until the end of the block."""
        redis = self._stack.services["profiles"]
        suspend(redis)
        try:
            yield
        finally:
            resume(redis)
