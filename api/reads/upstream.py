"""One request and its response over a connection of its own to the write process."""

import asyncio
import socket
import struct
from asyncio import Future
from collections.abc import Iterable
from http import HTTPStatus
from time import perf_counter, time
from typing import override

import httptools

from api.http_server.request import Request
from api.http_server.response_encoding import encode_headers
from api.reads.responses import Response, get_request_id
from api.reads.socket_address import SocketAddress

_MAX_RESPONSE_BYTES = 8 * 1024 * 1024
# RFC 9110 section 7.6.1; and what each connection decides for itself.
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_REPLACED = frozenset(
    {"content-length", "expect", "proxy", "x-forwarded-for", "x-request-id", "x-request-start"}
)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_RESPONSE_ONLY = frozenset({"date", "server"})


class UpstreamError(Exception):
    """The write process closed the connection early, or its response is not usable."""


async def exchange(address: SocketAddress, request: Request) -> Response:
    """Sends the request, serialized from its parsed form, and returns the whole response.

    Raises `OSError` if there is no connection, and `UpstreamError`.
    """
    loop = asyncio.get_running_loop()

    def protocol() -> _Exchange:
        return _Exchange(loop.create_future(), is_head=request.method == "HEAD")

    transport, upstream = await address.connect(protocol)
    try:
        transport.write(encode_request(request))
        return await upstream.response
    finally:
        if not upstream.response.done() or upstream.response.cancelled():
            # Resets a TCP connection: the write process would take its end for a half-closed one,
            # and execute the request (see `AbandonedRequestMiddleware`).
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()


def encode_request(request: Request) -> bytes:
    """Returns the request as it is sent to the write process: nothing is copied unparsed, so that
    both processes agree on where it ends.

    The client's address is appended to `X-Forwarded-For`; `X-Request-Start` is when the first byte
    came, in Unix seconds, from which the write process measures its durations.
    """
    headers = request.headers
    dropped = _HOP_BY_HOP | _REPLACED | _listed(headers.get("connection", ""))
    # Names with an underscore are ambiguous in WSGI.
    kept = [pair for pair in headers.items() if pair[0] not in dropped and "_" not in pair[0]]
    forwarded = headers.get("x-forwarded-for")
    client = request.client
    started_at = time() - (perf_counter() - request.received_at)
    kept += [
        ("x-forwarded-for", f"{forwarded}, {client}" if forwarded else client),
        ("x-request-id", get_request_id(headers)),
        ("x-request-start", f"t={started_at:.6f}"),
        ("connection", "close"),
    ]
    if request.content_length != 0:
        kept.append(("content-length", str(len(request.body))))
    line = b"%b %b HTTP/1.1\r\n" % (request.method.encode(), request.target)
    return b"".join((line, encode_headers(kept), b"\r\n", request.body))


def end_to_end_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Returns the response headers without those of the connection to the write process."""
    pairs = list(headers)
    listed = _listed(",".join(value for name, value in pairs if name == "connection"))
    dropped = _HOP_BY_HOP | _RESPONSE_ONLY | listed
    return [pair for pair in pairs if pair[0] not in dropped]


def _listed(connection: str) -> frozenset[str]:
    if not connection or connection == "close":
        return frozenset()
    return frozenset(name.strip().lower() for name in connection.split(","))


class _Exchange(asyncio.Protocol):
    """Receives one response; `response` is its future."""

    def __init__(self, response: Future[Response], *, is_head: bool) -> None:
        self.response = response
        self._is_head = is_head
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._headers: list[tuple[str, str]] = []
        self._parts: list[bytes] = []
        self._size = 0
        self._status = 0

    @override
    def data_received(self, data: bytes) -> None:
        if self._parser is None:
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail()

    @override
    def eof_received(self) -> None:
        self._fail()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._fail()
        # It refers to this object: without the cycle the body is freed now, not by the collector.
        self._parser = None

    def _fail(self) -> None:
        if not self.response.done():
            self.response.set_exception(UpstreamError())

    # --- Callbacks of the parser -----------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower().decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code() if self._parser else 0
        if self._is_head and self._status >= HTTPStatus.OK:
            self.on_message_complete()  # no body follows, whatever its length says

    def on_body(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > _MAX_RESPONSE_BYTES:
            self._fail()
        else:
            self._parts.append(part)

    def on_message_complete(self) -> None:
        if self._status < HTTPStatus.OK:
            self._headers.clear()  # an interim response; the final one follows
            return
        if self._status not in HTTPStatus:
            self._fail()
        elif not self.response.done():
            headers = end_to_end_headers(self._headers)
            body = b"".join(self._parts)
            if not self._is_head or self._status == HTTPStatus.NO_CONTENT:  # RFC 9110 section 8.6
                headers = [pair for pair in headers if pair[0] != "content-length"]
            self.response.set_result((self._status, encode_headers(headers), body))
