"""What comes on one connection: octets in, requests out.

What HTTP/1.1 says (RFC 9112) is left to llhttp, the parser of Node.js, by way of httptools. It is
strict, so that nobody reads a request differently from the proxy in front of us.
"""

from collections.abc import Callable

import httptools

from api.server.request import Request, Way

_HEAD_OCTETS = 64 * 1024
_HEADERS = 100


class NotHTTP(Exception):
    """What came is no HTTP, or a head that is longer than any that an honest client sends."""


class Incoming:
    """Goes in: the connection; `take`, which is given each request as soon as its head has come.

    `head` are the headers that have come of a head that is not whole yet, or None.
    """

    def __init__(self, way: Way, take: Callable[[Request], None]) -> None:
        self.head: dict[str, str] | None = None
        self._way = way
        self._take = take
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._octets = 0  # of the head
        self._coming: Request | None = None  # its body is on its way

    def feed(self, data: bytes) -> bool:
        """Whether more can follow: not after a request to speak another protocol.

        Raises `NotHTTP`, and whatever `take` raises.
        """
        head = self.head
        try:
            self._parser.feed_data(data)
            if head is not None and self.head is head:
                self._count(len(data))  # nothing but that head, and it is not whole yet
        except httptools.HttpParserUpgrade:
            return False
        except httptools.HttpParserCallbackError as error:
            raise (error.__context__ or error) from None
        except httptools.HttpParserError:
            raise NotHTTP from None
        return True

    def cut(self) -> None:
        """No more will come, nor the rest of a body."""
        if self._coming is not None:
            self._coming.ended(failed=True)
            self._coming = None

    # --- What the parser tells -------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """The first octet of a request."""
        self.head = {}
        self._target = b""
        self._octets = 0

    def on_url(self, part: bytes) -> None:
        """The request's target, or a part of it."""
        self._count(len(part))
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """A line of the head; or of the trailer, which is nothing to us."""
        head = self.head
        if head is None:
            return
        self._count(len(name) + len(value))
        if len(head) >= _HEADERS:
            raise NotHTTP
        key, text = name.lower().decode("latin-1"), value.strip(b" \t").decode("latin-1")
        if key in head:
            text = f"{head[key]}{'; ' if key == 'cookie' else ','}{text}"
        head[key] = text

    def on_headers_complete(self) -> None:
        """The head is whole."""
        headers, self.head = self.head or {}, None
        method = self._parser.get_method().decode("latin-1")
        request = Request(self._way, method, self._target, headers)
        if "connection" in headers or not self._parser.should_keep_alive():
            request.is_last = self._is_last()
        if not request.is_whole:
            self._coming = request
        self._take(request)

    def on_body(self, part: bytes) -> None:
        """A part of the body."""
        if self._coming is not None:
            self._coming.came(part)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._coming is not None:
            self._coming.ended()
            self._coming = None

    # --- Ourselves -------------------------------------------------------------------------------

    def _count(self, octets: int) -> None:
        self._octets += octets
        if self._octets > _HEAD_OCTETS:
            raise NotHTTP

    def _is_last(self) -> bool:
        """Whether the client wants the connection to end with this request, or to become another.

        HTTP/1.0 has ways of its own to keep a connection, for which nobody has a use any more.
        """
        parser = self._parser
        if not parser.should_keep_alive() or parser.should_upgrade():
            return True
        return parser.get_http_version() != "1.1"
