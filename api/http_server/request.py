"""A parsed request, and the interface of the connection that it came on."""

from collections.abc import Callable
from typing import Protocol


class ConnectionInterface(Protocol):
    """What a request needs of its connection."""

    client: str

    def respond(self, request: "Request", status: int, headers: bytes, body: bytes) -> None:
        """Sends the response to the current request; does nothing if the client is gone."""

    def read_body(
        self, request: "Request", max_bytes: int, on_body: Callable[["Request"], None]
    ) -> None:
        """Reads the body of the current request."""


class Request:
    """A request whose header section is complete.

    `method` and `target` are as sent (an absolute-form target is reduced to its path and query, RFC
    9112 section 3.2.2); `headers` has lower-case names, and repeated fields joined by a comma (RFC
    9110 section 5.3). `content_length` is None for a chunked body. `received_at` is when the first
    byte of the request was processed, by `time.perf_counter`.
    """

    __slots__ = (
        "_connection",
        "body",
        "close_connection",
        "content_length",
        "headers",
        "method",
        "on_disconnect",
        "received_at",
        "responded",
        "target",
    )

    def __init__(
        self,
        connection: ConnectionInterface,
        method: str,
        target: bytes,
        headers: dict[str, str],
        *,
        content_length: int | None = 0,
        close_connection: bool = False,
        received_at: float = 0.0,
    ) -> None:
        self._connection = connection
        self.method = method
        self.target = target
        self.headers = headers
        self.content_length = content_length
        self.close_connection = close_connection
        self.received_at = received_at
        self.body = b""
        self.responded = False
        # Called once if the connection is lost before the response is sent.
        self.on_disconnect: Callable[[], None] | None = None

    @property
    def client(self) -> str:
        """The peer's IP address; empty on a unix socket."""
        return self._connection.client

    @property
    def has_body(self) -> bool:
        """Whether the request announces a body that is not empty."""
        return self.content_length != 0

    def respond(self, status: int, headers: bytes, body: bytes) -> None:
        """Sends the whole response, once. `headers` is a header block without its empty line.

        The connection adds `date`, `content-length` unless the block has one, and `connection`; it
        sends no body for HEAD, 204 and 304 (RFC 9112 section 6.3). Does nothing if the client is
        gone. Raises `RuntimeError` for a second response.
        """
        if self.responded:
            raise RuntimeError("a request has one response")
        self.responded = True
        self._connection.respond(self, status, headers, body)

    def read_body(self, max_bytes: int, on_body: "Callable[[Request], None]") -> None:
        """Reads the body into `body`, then calls `on_body` with the request.

        A body over `max_bytes`, or one that is not complete in time, is rejected by the connection
        (413, 408), and `on_disconnect` is called.
        """
        self._connection.read_body(self, max_bytes, on_body)
