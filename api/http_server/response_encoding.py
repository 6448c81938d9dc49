"""Encodes responses and their headers."""

from collections.abc import Iterable
from http import HTTPStatus

_STATUS_LINES = {s.value: b"HTTP/1.1 %d %b\r\n" % (s, s.phrase.encode()) for s in HTTPStatus}

_BODILESS = (204, 304)  # plain numbers: these are compared for each read


def encode_headers(headers: Iterable[tuple[str, str]]) -> bytes:
    """Returns a header block: a line for each pair, with the name in lower case.

    Names and values must be free of line breaks.
    """
    return "".join([f"{name.lower()}: {value}\r\n" for name, value in headers]).encode("latin-1")


def encode_response(method: str, status: int, headers: bytes, body: bytes, *, close: bool) -> bytes:
    """Returns the response to a request with this method; `close` ends the connection.

    The body is left out where the protocol has none (RFC 9112 section 6.3). A 304 has no length
    either (RFC 9110 section 15.4.5): Node.js' fetch would wait for that many bytes, and keep the
    connection.
    """
    parts = [_STATUS_LINES[status], headers]
    if status not in _BODILESS and b"content-length: " not in headers:
        parts.append(b"content-length: %d\r\n" % len(body))
    parts.append(b"connection: close\r\n\r\n" if close else b"\r\n")
    if method != "HEAD" and status not in _BODILESS:
        parts.append(body)
    return b"".join(parts)
