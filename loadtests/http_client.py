"""A small HTTP/1.1 client, so that a load generator costs little beside the service.

Blocking system calls; where gevent has replaced the sockets (locust), only the greenlet blocks.
"""

import functools
import re
import socket
import ssl
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from local.processes import StackError

TIMEOUT = 10.0  # seconds for a connection, and for the next part of a response
_MAX_IDLE = 20.0  # seconds; servers and load balancers close idle connections, some after a minute
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


@dataclass(frozen=True)
class Origin:
    """A service: scheme, host and port, and what its `Host` header is."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> "Origin":
        """Returns the origin of http://host[:port] or https://…; raises `StackError` for others."""
        parts = urlsplit(url)
        try:
            port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        except (KeyError, ValueError):
            raise StackError(f"HOST must be http://host[:port] or https://…, not {url!r}") from None
        if not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
            raise StackError(f"HOST must be an origin such as http://127.0.0.1:8000, not {url!r}")
        return cls(parts.scheme, parts.hostname, port)

    @property
    def host_header(self) -> str:
        """The value of `Host` (RFC 9112 section 3.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Connection:
    """One kept-alive connection, reopened after it was closed or a request has failed."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._socket: socket.socket | None = None
        self._used_at = 0.0

    def request(self, request: bytes) -> tuple[int, bytes]:
        """Sends a request; returns status and body. Raises `OSError`, also for a timeout."""
        if time.monotonic() - self._used_at > _MAX_IDLE:
            self.close()
        try:
            connection = self._socket or self._connect()
            connection.sendall(request)
            head, body = _receive(connection)
        except OSError:
            self.close()
            raise
        if _CLOSE.search(head):
            self.close()
        self._used_at = time.monotonic()
        return int(head[9:12]), body

    def close(self) -> None:
        """Closes the connection; the next request opens another."""
        if self._socket:
            self._socket.close()
            self._socket = None

    def _connect(self) -> socket.socket:
        address = (self._origin.host, self._origin.port)
        connection = self._socket = socket.create_connection(address, timeout=TIMEOUT)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._origin.scheme == "https":
            connection = self._socket = _tls().wrap_socket(
                connection, server_hostname=self._origin.host
            )
        return connection


@functools.cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()  # it loads all certificate authorities


def _receive(connection: socket.socket) -> tuple[bytes, bytes]:
    received = b""
    while data := connection.recv(65536):
        received += data
        if (response := complete_response(received)) is not None:
            return response
    raise ConnectionResetError


def complete_response(received: bytes) -> tuple[bytes, bytes] | None:
    """Returns head and body of a response once all of it has been received, else None."""
    head, end, body = received.partition(b"\r\n\r\n")
    length = _CONTENT_LENGTH.search(head)
    return (head, body) if end and len(body) >= (int(length[1]) if length else 0) else None
