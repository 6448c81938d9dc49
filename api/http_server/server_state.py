"""What all connections of a server share."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from api.http_server.connection_state import Timeouts
from api.http_server.head_cache import HeadCache
from api.http_server.request import Application

if TYPE_CHECKING:
    from api.http_server.connection import Connection


@dataclass
class ServerState:
    """The server's configuration, clock and open connections, and what is buffered for these.

    `now` is the loop's time and `date_header` the line of the responses, both as of the last tick.
    Parts of requests, request bodies and unsent responses may take `max_buffered_bytes` in all.
    """

    application: Application
    timeouts: Timeouts
    max_buffered_bytes: int = 32 * 1024 * 1024
    now: float = 0.0
    date_header: bytes = b""
    buffered_bytes: int = 0
    shutting_down: bool = False
    head_cache: HeadCache = field(default_factory=HeadCache)
    connections: "set[Connection]" = field(default_factory=set)

    @property
    def is_out_of_memory(self) -> bool:
        """Whether more is buffered than may be."""
        return self.buffered_bytes > self.max_buffered_bytes
