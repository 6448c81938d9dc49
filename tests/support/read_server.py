"""A read process under test: started again once it is broken, its sockets and its log watched."""

import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self

import httpx

from local.machine import HOST, children
from local.stack import Stack
from tests.someone import Rollcall, read_process
from tests.support.hostile_client import TIMEOUT, Person

# Seconds; how long a connection may be in each of its states. Short, because tests wait for them.
DEADLINES = {
    "KEEP_ALIVE_TIMEOUT": "1",
    "HEADERS_TIMEOUT": "1",
    "BODY_TIMEOUT": "1",
    "SEND_TIMEOUT": "1",
    "LINGER_TIMEOUT": "1",
}
_PEOPLE = 10
_LISTENING = "0A"  # in /proc/net/tcp
_pause = threading.Event()
# Django logs a request for a strange host as an error.
_FAILURE = re.compile(
    r'^(?!.*django.security).*(Traceback|"level": "(error|critical)"|"exception")'
)


class ReadServer:
    """One read process, beside the web servers of a stack; `env` is for it alone.

    `people` are the clients' own profiles; the first is the bystander's.
    """

    def __init__(self, stack: Stack, **env: str) -> None:
        self._stack = stack
        self._env = env
        self._stop = ExitStack()
        self.timeout = TIMEOUT
        with httpx.Client(base_url=stack.url, timeout=20) as http:
            signed_up = [Rollcall(http).sign_up() for _ in range(_PEOPLE)]
            self.people = [Person(each.token, each.profile().content) for each in signed_up]

    def __enter__(self) -> Self:
        main, url = self._stop.enter_context(read_process(self._stack, **self._env))
        self.port = int(url.rpartition(":")[2])
        self.pid = children(main.pid)[0]
        assert main.log is not None
        self._log = main.log.open()
        self._stop.callback(self._log.close)
        self._bystander: socket.socket | None = None
        self._last_read = 0.0
        self.new_failures()
        return self

    def __exit__(self, *_: object) -> None:
        self._hang_up()
        self._stop.close()

    def restart(self) -> None:
        """Replace the process by a new one. What follows is a shrunk script, with less time."""
        self.timeout = TIMEOUT / 5
        self.__exit__()
        self.__enter__()

    # --- The bystander ---------------------------------------------------------------------------

    def serves_bystander(self) -> None:
        """Assert that a client of its own connection reads its profile, within a second.

        Time in which the machine let one of the processes wait does not count.
        """
        waited, began = self._waited(), time.monotonic()
        status = self._read()
        assert status == 200, f"a bystander's read is a {status}"
        took = time.monotonic() - began
        assert took < 1 or took - (self._waited() - waited) < 1, f"a read took {took:.1f} s"

    def _read(self) -> int:
        """The status of one read, on a connection that is kept while the server keeps it."""
        if self._bystander is None or time.monotonic() - self._last_read > 0.3:
            self._hang_up()
            self._bystander = socket.create_connection((HOST, self.port), timeout=self.timeout)
        person = self.people[0]
        head = f"GET /api/v1/profile/ HTTP/1.1\r\nHost: {HOST}\r\n"
        self._bystander.sendall(f"{head}Authorization: Bearer {person.token}\r\n\r\n".encode())
        response = b""
        while not response.endswith(person.profile) and (data := self._bystander.recv(100_000)):
            response += data
            if not response.startswith(b"HTTP/1.1 200 "[: len(response)]):
                break  # its end is unknown; nor does it matter
        self._last_read = time.monotonic()
        return int(response[9:12] or 0)

    def _hang_up(self) -> None:
        if self._bystander is not None:
            self._bystander.close()
        self._bystander = None

    def _waited(self) -> float:
        """Seconds for which we, the server and its Redis have waited for a core until now, and in
        which the machine itself stood still.
        """
        pids = [os.getpid(), self.pid, self._stack.parts["profiles"].pid]
        stats = [Path(f"/proc/{pid}/schedstat").read_text().split()[1] for pid in pids]
        stolen = int(Path("/proc/stat").read_text().split(None, 9)[8]) / os.sysconf("SC_CLK_TCK")
        return sum(map(int, stats)) / 1e9 + stolen

    # --- What it holds, and what it says ---------------------------------------------------------

    def connections(self) -> set[int]:
        """The clients' ports of all connections that the process holds."""
        held = set()
        for file in Path(f"/proc/{self.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # it was closed just now
                held.add(str(file.readlink()))
        own = f":{self.port:04X} "
        lines = Path("/proc/net/tcp").read_text().splitlines()
        # Number, own and other address, state, ..., inode: one line for each socket.
        rows = [line.split() for line in lines if own in line]
        return {
            int(row[2].rpartition(":")[2], 16)
            for row in rows
            if row[1].endswith(own[:-1]) and row[3] != _LISTENING and f"socket:[{row[9]}]" in held
        }

    def remaining(self, within: float, meanwhile: Callable[[], None] = lambda: None) -> set[int]:
        """The clients' ports of the connections that are left after so many seconds, or none as
        soon as there are none.
        """
        self._hang_up()
        deadline, pause = time.monotonic() + within, 0.001
        while (ports := self.connections()) and time.monotonic() < deadline:
            meanwhile()
            _pause.wait(pause)
            pause = min(0.05, 2 * pause)
        return ports

    def memory(self) -> int:
        """Bytes of the process, its part of what it shares with others included (PSS)."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return 1024 * int(rollup.partition("\nPss:")[2].split()[0])

    def new_failures(self) -> list[str]:
        """The lines of its log that tell of a failure, since the last call."""
        return [line for line in self._log if _FAILURE.search(line)]

    @contextmanager
    def redis_stalled(self) -> Iterator[None]:
        """The profile Redis replies only when the block is left."""
        redis = self._stack.parts["profiles"]
        redis.pause()
        try:
            yield
        finally:
            redis.resume()
