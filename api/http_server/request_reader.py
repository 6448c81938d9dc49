"""Reads header sections and bodies from the bytes that a connection has received."""

from api.http_server.head_cache import HeadCache
from api.http_server.parser import find_head_end, parse_head
from api.http_server.request import Request
from api.http_server.request_body import RequestBody


class RequestReader:
    """The bytes of one connection that are not read yet, and the body that is being read."""

    def __init__(self, head_cache: HeadCache) -> None:
        self.body: RequestBody | None = None
        self._head_cache = head_cache
        self._buffer = b""
        self._position = 0  # of the first byte in it that is not read yet

    @property
    def unread(self) -> int:
        """The number of bytes that are not read yet."""
        return len(self._buffer) - self._position

    @property
    def size(self) -> int:
        """The bytes that all this takes."""
        return self.unread + (len(self.body.data) if self.body else 0)

    def feed_data(self, data: bytes) -> None:
        """Appends data."""
        self._buffer = self._buffer[self._position :] + data if self._buffer else data
        self._position = 0

    def clear(self) -> None:
        """Discards what is not read yet."""
        self._buffer, self._position = b"", 0

    def read_head(self) -> Request | None:
        """Returns the next request if its header section is complete. Raises `BadRequest`."""
        buffer = self._buffer
        if buffer.startswith(b"\r\n", self._position):  # RFC 9112 section 2.2
            self._position += 2
        start, end = self._position, find_head_end(buffer, self._position)
        if not end:
            return None
        self._position = end
        data = buffer[start:end]
        request = self._head_cache.find_head(data)
        if request is None:
            request = parse_head(data)
            self._head_cache.add(data, request)
        return request

    def read_body(self) -> RequestBody | None:
        """Takes what has arrived of the body; returns it once it is complete.

        Raises `BadRequest` and `BodyTooLarge`.
        """
        body = self.body
        if body is None:
            raise AssertionError("no body is being read")
        self._position += body.feed_data(self._buffer[self._position :])
        return body if body.is_complete else None
