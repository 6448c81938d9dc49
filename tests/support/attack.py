"""An attack on a web server, as a program: `python -m tests.support.attack KIND --port …`.

It keeps its connections in one state, and replaces those that the server ends. Once it has them all
it gives way to every other process, because its own use of the CPU is not what is measured, and
prints a line. SIGTERM has it open and send nothing more, and keep what it has.
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

from local.machine import HOST

_TICK = 0.05  # seconds
_SMALL = 4096  # bytes of a receive buffer
_LARGE = "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"
_BODY = 64 * 1024  # bytes


def first_bytes(kind: str, token: str) -> bytes:
    """What each connection sends at once."""
    host = f"Host: {HOST}\r\n"
    read = f"GET /api/v1/profile/ HTTP/1.1\r\n{host}Authorization: Bearer {token}\r\n\r\n"
    post = f"POST /api/v1/signup/ HTTP/1.1\r\n{host}Content-Type: application/json\r\n"
    return {
        "idle": "",
        "slow": f"{post}Content-Length: {_BODY}\r\n\r\n",
        "deaf": read * 10,
        "deaf-to-files": f"GET {_LARGE} HTTP/1.1\r\n{host}\r\n" * 3,
    }[kind].encode()


class Attack:
    """So many connections of one kind. Only slow ones send more than at first: a byte a tick."""

    def __init__(self, kind: str, port: int, token: str) -> None:
        self.going_on = True
        self._is_slow = kind == "slow"
        self._first = first_bytes(kind, token)
        self._port = port
        self._epoll = select.epoll()
        self._connections: dict[int, socket.socket] = {}

    def open(self, count: int) -> None:
        """Open so many connections, and send on each what it sends at first."""
        for _ in range(count):
            if not self.going_on:
                return
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(20)
            connection.connect((HOST, self._port))
            connection.setblocking(False)
            self._connections[connection.fileno()] = connection
            self._epoll.register(connection, select.EPOLLRDHUP)
            self._send(connection, self._first)

    def tick(self) -> None:
        """Replace what has ended, and send a byte where more is to come."""
        ended = self._epoll.poll(_TICK)
        for file, _ in ended:
            self._connections.pop(file).close()
        self.open(len(ended))
        if self._is_slow and self.going_on:
            for connection in self._connections.values():
                self._send(connection, b" ")

    def _send(self, connection: socket.socket, data: bytes) -> None:
        try:
            connection.send(data)
        except OSError:
            return  # it is full, or has ended: the next tick sees that

    def stop(self, *_: object) -> None:
        self.going_on = False


def give_way() -> None:
    """Take the lowest priority there is: in a session, and where the kernel has it, among them."""
    os.nice(19)
    with suppress(FileNotFoundError):
        Path("/proc/self/autogroup").write_text("19")


def main() -> None:
    """Attack until SIGTERM, then sit still until SIGKILL."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.attack")
    parser.add_argument("kind", choices=["idle", "slow", "deaf", "deaf-to-files"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--tokens", type=Path, required=True, help="a file; the first line counts")
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    attack = Attack(options.kind, options.port, options.tokens.read_text().split()[0])
    signal.signal(signal.SIGTERM, attack.stop)
    attack.open(options.connections)
    give_way()
    sys.stdout.write("attacking\n")
    sys.stdout.flush()
    while attack.going_on:
        attack.tick()
        time.sleep(_TICK)
    signal.pause()


if __name__ == "__main__":
    main()
