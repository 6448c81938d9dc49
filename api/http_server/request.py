"""A parsed request, and the interfaces of the connection it came on and of what responds to it."""

from collections.abc import Callable
from typing import Protocol


class RepeatedHead:
    """A header section that clients repeat byte by byte, up to the bearer token (`HeadCache`).

    `headers` are without that token, and shared by all requests: not to be changed. `memo` is the
    application's own: what it has found out about such requests, from `headers` and target alone.
    """

    __slots__ = ("headers", "memo", "method", "target")

    def __init__(self, method: str, target: bytes, headers: dict[str, str]) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.memo: bytes | None = None


class Request:
    """A request whose header section is complete.

    `method` and `target` are as sent (an absolute-form target is reduced to its path and query, RFC
    9112 section 3.2.2). `content_length` is None for a chunked body. `received_at` is when the
    first byte of the request was processed, by `time.perf_counter`. `on_disconnect` is called once
    if the connection is lost before the response is sent.

    `fields` are the header fields with lower-case names, and repeated ones joined by a comma (RFC
    9110 section 5.3); if there is a `head`, which has been repeated, they lack `Authorization`, and
    `token` is the bearer token in it. `headers` has all of them.
    """

    # A plain class: what creates a dataclass is slower once this is compiled (docs/performance.md).
    __slots__ = (
        "_headers", "body", "close_connection", "connection", "content_length", "expects_continue",
        "fields", "head", "max_body_bytes", "method", "on_body", "on_disconnect", "received_at",
        "target", "token",
    )  # fmt: skip  # one list

    on_body: "Callable[[Request], None]"  # set by `read_body`
    connection: "ConnectionInterface"  # set when the request is dispatched

    def __init__(
        self,
        method: str,
        target: bytes,
        fields: dict[str, str],
        content_length: int | None = 0,
        *,
        close_connection: bool = False,
        expects_continue: bool = False,
        body: bytes = b"",
        head: RepeatedHead | None = None,
        token: bytes = b"",
    ) -> None:
        self.method = method
        self.target = target
        self.fields = fields
        self.content_length = content_length
        self.close_connection = close_connection
        self.expects_continue = expects_continue
        self.body: bytes | bytearray = body
        self.head = head
        self.token = token
        self.received_at = 0.0
        self.on_disconnect: Callable[[], object] | None = None
        self.max_body_bytes = 0
        self._headers: dict[str, str] | None = None

    @property
    def headers(self) -> dict[str, str]:
        """All header fields."""
        if self.head is None:
            return self.fields
        if self._headers is None:
            authorization = "Bearer " + self.token.decode("ascii")
            self._headers = {**self.fields, "authorization": authorization}
        return self._headers

    @property
    def client(self) -> str:
        """The peer's IP address; empty on a unix socket."""
        return self.connection.client

    def respond(self, status: int, headers: bytes, body: bytes) -> None:
        """Sends the whole response, once. `headers` is a header block without its empty line.

        The connection adds `date`, `content-length` (in response to HEAD unless the block has it)
        and `connection`; it sends no body for HEAD, 204 and 304 (RFC 9112 section 6.3). Does
        nothing if the client is gone.
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

        `code` is bad_request, request_timeout, body_too_large or memory_limit; the request is
        empty if its header section is not complete or not valid.
        """
