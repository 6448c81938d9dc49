"""Parses requests: header sections through llhttp (httptools), and chunked bodies.

A header section is cut out at its empty line and parsed by a parser of its own, so that no parser
state is left between two requests. llhttp is strict here: no bare LF, no obs-fold, no conflicting
framing.
"""

from typing import NamedTuple

import httptools

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 100
MAX_TARGET_BYTES = 8150  # 8000 at least (RFC 9112 section 3); gunicorn refuses lines over 8190
_MAX_CHUNK_FRAMING_BYTES = 64 * 1024  # chunk sizes, extensions and trailers of one body
_CHUNKED_HEAD = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
_BEARER = b"uthorization: Bearer "  # with either spelling of its first letter
_TOKEN68 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="  # RFC 9110 11.2
_MAX_CACHED_HEADS = 1024
_MAX_CACHED_HEAD_BYTES = 1024


class BadRequest(Exception):
    """The bytes are not an HTTP/1.1 request, or a header section over our limits."""


class Head(NamedTuple):
    """A parsed header section; see `api.http_server.request.Request`."""

    method: str
    target: bytes
    headers: dict[str, str]
    content_length: int | None
    close_connection: bool
    expects_continue: bool


class _HeadCollector:
    """Receives the callbacks of llhttp for one header section."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: dict[str, str] = {}
        self.is_complete = False
        self._count = 0

    def on_url(self, part: bytes) -> None:
        self.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count += 1
        key, text = name.lower().decode("latin-1"), value.strip(b" \t").decode("latin-1")
        previous = self.headers.get(key)
        if previous is not None:
            if key == "host":
                raise BadRequest  # RFC 9112 section 3.2
            text = f"{previous}{'; ' if key == 'cookie' else ','}{text}"
        if self._count > MAX_HEADERS:
            raise BadRequest
        self.headers[key] = text

    def on_headers_complete(self) -> None:
        self.is_complete = True


def may_be_head(data: bytes, start: int) -> bool:
    """Returns whether the incomplete header section from `start` on may become a valid one.

    What never will, such as TLS or bare line feeds, need not wait for the timeout.
    """
    first = data[start : start + 1]
    is_method = not first or first == b"\r" or b"A" <= first <= b"Z"
    return is_method and data.count(b"\n", start) == data.count(b"\r\n", start)


def parse_head(head: bytes) -> Head:
    """Returns the parsed header section in `head`, which ends with its empty line.

    Raises `BadRequest`.
    """
    collector = _HeadCollector()
    parser = httptools.HttpRequestParser(collector)
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        pass  # Upgrade is ignored (RFC 9110 section 7.8); CONNECT has a target that fails below
    except (httptools.HttpParserError, UnicodeDecodeError):
        raise BadRequest from None
    version = parser.get_http_version()
    if not collector.is_complete or version not in ("1.1", "1.0"):
        raise BadRequest
    if len(collector.target) > MAX_TARGET_BYTES:
        raise BadRequest
    headers, is_1_1 = collector.headers, version == "1.1"
    target = _origin_form(collector.target, headers)
    if is_1_1 and "host" not in headers:
        raise BadRequest  # RFC 9112 section 3.2
    return Head(
        method=parser.get_method().decode("latin-1"),
        target=target,
        headers=headers,
        content_length=_content_length(headers, is_1_1=is_1_1),
        # HTTP/1.0 has keep-alive by a convention of its own, which no client of ours needs.
        close_connection=not is_1_1 or "close" in _tokens(headers.get("connection", "")),
        expects_continue=is_1_1 and headers.get("expect", "").lower() == "100-continue",
    )


def _tokens(value: str) -> list[str]:
    return [token.strip().lower() for token in value.split(",")]


def _content_length(headers: dict[str, str], *, is_1_1: bool) -> int | None:
    """Returns the length of the body, None for a chunked one. llhttp has checked the digits."""
    coding = headers.get("transfer-encoding")
    if coding is None:
        return int(headers.get("content-length", "0"))
    if not is_1_1 or coding.lower() != "chunked":
        raise BadRequest  # RFC 9112 sections 6.1 and 6.3
    return None


def _origin_form(target: bytes, headers: dict[str, str]) -> bytes:
    """Returns path and query of a target; the authority of an absolute one replaces `Host`.

    RFC 9112 sections 3.2.1 to 3.2.4. Raises `BadRequest` for the authority-form of CONNECT.
    """
    if target.startswith(b"/") or target == b"*":
        return target
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        raise BadRequest from None
    if not url.schema or not url.host:
        raise BadRequest
    host = url.host.decode("latin-1")
    headers["host"] = f"{host}:{url.port}" if url.port else host
    path = url.path or b"/"
    return path if url.query is None else path + b"?" + url.query


class HeadCache:
    """Parsed header sections of GET and HEAD requests, which clients repeat byte by byte.

    The bearer token may differ between two requests of one entry: its characters cannot end the
    header field, so they do not change how the rest is parsed. What has a body, or asks to close
    the connection, is not cached.
    """

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}

    def find(self, data: bytes) -> Head | None:
        """Returns the parsed form of `data` if that is one whole request of a cached kind."""
        start = data.find(_BEARER) + len(_BEARER)
        end = data.find(b"\r", start)
        head = self._heads.get(data[:start] + data[end:])
        if head is None:
            return None
        token = data[start:end]
        if token.translate(None, _TOKEN68):
            return None
        headers = head.headers.copy()
        headers["authorization"] = "Bearer " + token.decode("ascii")
        return Head(head.method, head.target, headers, 0, False, False)

    def add(self, data: bytes, head: Head) -> None:
        """Caches the parsed form of `data`, a header section, if it is of a kind that repeats."""
        start = data.find(_BEARER) + len(_BEARER)
        end = data.find(b"\r", start)
        authorization = b"Bearer " + data[start:end]
        if (
            head.method in ("GET", "HEAD")
            and head.content_length == 0
            and not head.close_connection
            and len(data) <= _MAX_CACHED_HEAD_BYTES
            # It is the one field of that name, which begins where the token was found.
            and data[:start].lower().endswith(b"\r\nauthorization: bearer ")
            and head.headers.get("authorization", "").encode("latin-1") == authorization
        ):
            if len(self._heads) >= _MAX_CACHED_HEADS:
                self._heads.clear()
            self._heads[data[:start] + data[end:]] = head


class ChunkedDecoder:
    """Decodes a chunked body (RFC 9112 section 7.1); trailers are discarded."""

    def __init__(self) -> None:
        self.is_complete = False
        self.has_leftover = False  # bytes of a next request followed
        self._parts: list[bytes] = []
        self._received = self._decoded = 0
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._parser.feed_data(_CHUNKED_HEAD)

    def feed_data(self, data: bytes) -> list[bytes]:
        """Returns the decoded parts in `data`.

        Raises `BadRequest` for wrong framing, and for more of it than any honest client sends.
        """
        self._parts = []
        if self._parser is None:
            return []
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self.is_complete:
                raise BadRequest from None
            self.has_leftover = True  # whatever it is
        if self.is_complete:
            self._parser = None  # it refers to this object: no cycle is left to the collector
        self._received += len(data)
        self._decoded += sum(map(len, self._parts))
        if self._received - self._decoded > _MAX_CHUNK_FRAMING_BYTES and not self.is_complete:
            raise BadRequest
        return self._parts

    def on_message_begin(self) -> None:
        """Called by llhttp, also for what follows the body."""
        self.has_leftover = self.is_complete

    def on_body(self, part: bytes) -> None:
        """Called by llhttp."""
        if not self.is_complete:
            self._parts.append(part)

    def on_message_complete(self) -> None:
        """Called by llhttp."""
        self.is_complete = True
