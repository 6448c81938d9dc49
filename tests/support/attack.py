"""An attack on a web server, as a program: `python -m tests.support.attack KIND --port N …`.

It keeps its connections in one state, and replaces those that the server closes. Once all are open
it lowers its priority, because its own CPU use is not measured, and prints a line. After SIGTERM it
opens and sends nothing more, and keeps its connections.
"""

import argparse
import os
import resource
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from local.tcp_ports import HOST
from tests.support.hostile_messages import LARGE_FILE

_TICK = 0.05  # seconds
_RECEIVE_BUFFER = 4096  # bytes
_TIMEOUT = 30  # seconds for a connection to be made
_HOST = f"Host: {HOST}\r\n"
_SIGN_UP = f"POST /api/v1/signup/ HTTP/1.1\r\n{_HOST}Content-Type: application/json\r\n"

_READ = f"GET /api/v1/profile/ HTTP/1.1\r\n{_HOST}Authorization: Bearer {{token}}\r\n\r\n"

# By kind: what each connection sends at first. Then `slow` sends a byte a tick, the others nothing.
# None of them ever reads.
FIRST = {
    "idle": "",
    "slow": f"{_SIGN_UP}Content-Length: {64 * 1024}\r\n\r\n",
    "unread": _READ * 10,
    "unread-file": f"GET {LARGE_FILE} HTTP/1.1\r\n{_HOST}\r\n" * 3,
}


class Attack:
    """Connections of one kind to 127.0.0.1:`port`."""

    def __init__(self, kind: str, port: int, token: str) -> None:
        self.stopped = False
        self._slow = kind == "slow"
        self._first = FIRST[kind].replace("{token}", token).encode()
        self._port = port
        self._epoll = select.epoll()
        self._connections: dict[int, socket.socket] = {}

    def open(self, count: int) -> None:
        """Opens connections, and sends the first data on each."""
        for _ in range(count):
            if self.stopped:
                return
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(_TIMEOUT)
            connection.connect((HOST, self._port))
            connection.setblocking(False)
            self._connections[connection.fileno()] = connection
            self._epoll.register(connection, select.EPOLLRDHUP)
            _send(connection, self._first)

    def tick(self) -> None:
        """Replaces closed connections, and sends a byte on slow ones."""
        ended = self._epoll.poll(_TICK)
        for file, _ in ended:
            self._connections.pop(file).close()
        self.open(len(ended))
        if self._slow:
            for connection in self._connections.values():
                _send(connection, b" ")

    def stop(self, *_: object) -> None:
        """Signal handler of SIGTERM."""
        self.stopped = True


def _send(connection: socket.socket, data: bytes) -> None:
    with suppress(OSError):  # its buffer is full, or it has ended, which the next tick finds
        connection.send(data)


def _take_lowest_priority() -> None:
    """Among the processes of this session, and, where the kernel groups them, among sessions."""
    os.nice(19)
    with suppress(FileNotFoundError):
        Path("/proc/self/autogroup").write_text("19")


def main() -> None:
    """Attacks until SIGTERM, then does nothing until SIGKILL."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.attack")
    parser.add_argument("kind", choices=FIRST)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--tokens", type=Path, required=True, help="a file; its first line is used")
    options = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    attack = Attack(options.kind, options.port, options.tokens.read_text().split()[0])
    signal.signal(signal.SIGTERM, attack.stop)
    attack.open(options.connections)
    _take_lowest_priority()
    sys.stdout.write("attacking\n")
    sys.stdout.flush()
    while not attack.stopped:
        attack.tick()
        time.sleep(_TICK)
    signal.pause()


if __name__ == "__main__":
    main()
