"""Encodes responses and their headers."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

_STATUS_LINES = {s.value: b"HTTP/1.1 %d %b\r\n" % (s, s.phrase.encode()) for s in HTTPStatus}

_NO_CONTENT: Final = 204  # plain numbers: these are compared for each read
_NOT_MODIFIED: Final = 304
_LENGTH_LINES = [b"content-length: %d\r\n" % length for length in range(1024)]


def encode_headers(headers: Iterable[tuple[str, str]]) -> bytes:
    """Returns a header block: a line for each pair, with the name in lower case.

    Names and values must be free of line breaks.
    """
    return "".join([f"{name.lower()}: {value}\r\n" for name, value in headers]).encode("latin-1")


def encode_response(
    method: str, status: int, date: bytes, headers: bytes, body: bytes, *, close: bool
) -> bytes:
    """Returns the response to a request with this method: `date` and `headers` are its header
    block, and `close` ends the connection.

    The body is left out where the protocol has none (RFC 9112 section 6.3). A 304 has no length
    either (RFC 9110 section 15.4.5): Node.js' fetch would wait for that many bytes, and keep the
    connection.
    """
    line, end = _STATUS_LINES[status], b"connection: close\r\n\r\n" if close else b"\r\n"
    if status in (_NO_CONTENT, _NOT_MODIFIED):
        return b"".join((line, date, headers, end))
    if method == "HEAD" and b"content-length: " in headers:
        length_line = b""
    else:
        size = len(body)
        known = size < len(_LENGTH_LINES)
        length_line = _LENGTH_LINES[size] if known else b"content-length: %d\r\n" % size
    if method == "HEAD":
        body = b""
    return b"".join((line, date, headers, length_line, end, body))
