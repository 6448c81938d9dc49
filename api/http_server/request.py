"""A parsed request, and the interfaces of the connection it came on and of what responds to it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(slots=True, eq=False, repr=False)
class Request:
    """A request whose header section is complete.

    `method` and `target` are as sent (an absolute-form target is reduced to its path and query, RFC
    9112 section 3.2.2); `headers` has lower-case names, and repeated fields joined by a comma (RFC
    9110 section 5.3). `content_length` is None for a chunked body. `received_at` is when the first
    byte of the request was processed, by `time.perf_counter`. `on_disconnect` is called once if the
    connection is lost before the response is sent.
    """

    method: str
    target: bytes
    headers: dict[str, str]
    content_length: int | None = 0
    close_connection: bool = False
    expects_continue: bool = False
    received_at: float = 0.0
    body: bytes | bytearray = b""
    on_disconnect: Callable[[], object] | None = None
    max_body_bytes: int = 0
    on_body: "Callable[[Request], None]" = field(init=False)  # set by `read_body`
    connection: "ConnectionInterface" = field(init=False)  # set when the request is dispatched

    @property
    def client(self) -> str:
        """The peer's IP address; empty on a unix socket."""
        return self.connection.client

    def respond(self, status: int, headers: bytes, body: bytes) -> None:
        """Sends the whole response, once. `headers` is a header block without its empty line.

        The connection adds `date`, `content-length` unless the block has one, and `connection`; it
        sends no body for HEAD, 204 and 304 (RFC 9112 section 6.3). Does nothing if the client is
        gone.
        """
        self.connection.respond(self, status, headers, body)

    def read_body(self, max_bytes: int, on_body: "Callable[[Request], None]") -> None:
        """Reads the body into `body`, then calls `on_body` with the request.

        To be called within `Application.handle`. A body over `max_bytes`, or one that is not
        complete in time, is rejected by the connection (413, 408), and `on_disconnect` is called.
        """
        if self.body:  # it came with the header section, and is short: see `HeadCache`
            on_body(self)
        else:
            self.max_body_bytes, self.on_body = max_bytes, on_body


class ConnectionInterface(Protocol):
    """What a request needs of its connection."""

    client: str

    def respond(self, request: Request, status: int, headers: bytes, body: bytes) -> None:
        """See `Request.respond`."""


class Application(Protocol):
    """What responds to requests."""

    def handle(self, request: Request) -> None:
        """Responds to the request, now or later, or first reads its body. Raises nothing."""

    def error_response(self, code: str, request: Request) -> tuple[int, bytes, bytes]:
        """Returns status, header block and body for what the connection itself rejects.

        `code` is bad_request, request_timeout, body_too_large or overloaded; the request is empty
        if its header section is not complete or not valid.
        """
