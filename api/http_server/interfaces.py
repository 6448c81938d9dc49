"""What a connection needs of its application and its server."""

from typing import TYPE_CHECKING, Protocol

from api.http_server.connection_state import Timeouts
from api.http_server.parser import HeadCache
from api.http_server.request import Request

if TYPE_CHECKING:
    from api.http_server.connection import Connection


class Application(Protocol):
    """What handles requests."""

    def handle(self, request: Request) -> None:
        """Responds to the request, now or later, or reads its body first. Raises nothing."""

    def error_response(self, code: str, request: Request | None) -> tuple[int, bytes, bytes]:
        """Returns status, header block and body for what the connection itself rejects.

        `code` is bad_request, request_timeout, body_too_large or overloaded.
        """


class ServerInterface(Protocol):
    """The server of a connection. `now` is the loop's time, as of the last tick."""

    now: float
    application: Application
    connections: "set[Connection]"
    date_header: bytes
    shutting_down: bool
    timeouts: Timeouts
    head_cache: HeadCache
    buffered_bytes: int  # of all connections: request bodies, pipelined requests, large responses

    @property
    def is_out_of_memory(self) -> bool:
        """Whether more is buffered for clients than may be."""
