"""Assembles a request body: of a known length, or chunked (RFC 9112 section 7.1)."""

import httptools

from api.http_server.parser import BadRequest
from api.http_server.request import Request

_MAX_FRAMING_BYTES = 64 * 1024  # chunk sizes, extensions and trailers of one body
_CHUNKED_HEAD = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"


class BodyTooLarge(Exception):
    """The body is longer than the application takes."""


class RequestBody:
    """The body of a request while it is received; trailers are discarded.

    `has_leftover`: bytes that followed a chunked body in the same segment were discarded.
    """

    def __init__(self, request: Request) -> None:
        self.data = bytearray()
        self.is_complete = self.has_leftover = False
        self._request = request
        self._received = 0
        self._parser: httptools.HttpRequestParser | None = None
        if request.content_length is None:
            self._parser = httptools.HttpRequestParser(self)
            self._parser.feed_data(_CHUNKED_HEAD)

    def feed_data(self, data: bytes) -> int:
        """Takes the next part of the body from the start of `data`; returns how many bytes it took.

        Raises `BodyTooLarge`, and `BadRequest` for wrong framing or for more of it than any honest
        client sends.
        """
        length = self._request.content_length
        if length is None:
            self._feed_chunks(data)
            taken = len(data)
        else:
            taken = min(len(data), length - len(self.data))
            self.data += data[:taken]
            self.is_complete = len(self.data) == length
        if len(self.data) > self._request.max_body_bytes:
            raise BodyTooLarge
        return taken

    def finish(self) -> None:
        """Passes the complete body to the application."""
        self._request.body = self.data
        self._request.on_body(self._request)

    def _feed_chunks(self, data: bytes) -> None:
        if self._parser is None:
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self.is_complete:
                raise BadRequest from None
            self.has_leftover = True  # whatever it is
        self._received += len(data)
        if self.is_complete:
            self._parser = None  # it refers to this object: no cycle is left to the collector
        elif self._received - len(self.data) > _MAX_FRAMING_BYTES:
            raise BadRequest

    # --- Callbacks of llhttp ---------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Notes a request that follows the body."""
        self.has_leftover = self.is_complete

    def on_body(self, part: bytes) -> None:
        """Takes the data of a chunk, or of a part of it."""
        if not self.is_complete:
            self.data += part

    def on_message_complete(self) -> None:
        """Notes the end of the body."""
        self.is_complete = True
