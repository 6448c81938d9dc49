"""Parses the header section of a request, through llhttp (httptools).

A header section is cut out at its empty line and parsed by a parser of its own, so that no parser
state is left between two requests. llhttp is strict here: no bare LF, no obs-fold, no conflicting
framing.
"""

import httptools

from api.http_server.request import Request

_MAX_HEAD_BYTES = 64 * 1024
_MAX_HEADERS = 100
_MAX_TARGET_BYTES = 8150  # 8000 at least (RFC 9112 section 3); gunicorn refuses lines over 8190


class BadRequest(Exception):
    """The bytes are not an HTTP/1.1 request, or a header section over our limits."""


class _HeadCollector:
    """Receives the callbacks of llhttp for one header section."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: dict[str, str] = {}
        self.is_complete = False
        self._count = 0

    def run(self, head: bytes) -> tuple[str, str]:
        """Parses a header section; returns the method and the version. Raises `BadRequest`."""
        parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            pass  # Upgrade is ignored (RFC 9110 section 7.8); CONNECT has a target that fails later
        except (httptools.HttpParserError, UnicodeDecodeError):
            raise BadRequest from None
        version = parser.get_http_version()
        is_valid = self.is_complete and version in ("1.1", "1.0")
        if not is_valid or len(self.target) > _MAX_TARGET_BYTES:
            raise BadRequest
        return parser.get_method().decode("latin-1"), version

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
        if self._count > _MAX_HEADERS:
            raise BadRequest
        self.headers[key] = text

    def on_headers_complete(self) -> None:
        self.is_complete = True


def find_head_end(data: bytes, start: int) -> int:
    """Returns the end of the header section that starts at `start`; 0 if it is not complete yet.

    Raises `BadRequest` if it is too long, or never will be a valid one: TLS or bare line feeds need
    not wait for the timeout.
    """
    end = data.find(b"\r\n\r\n", start)
    if (len(data) if end < 0 else end) - start > _MAX_HEAD_BYTES:
        raise BadRequest
    if end >= 0:
        return end + 4
    first = data[start : start + 1]
    is_method = not first or first == b"\r" or b"A" <= first <= b"Z"
    if not is_method or data.count(b"\n", start) != data.count(b"\r\n", start):
        raise BadRequest
    return 0


def parse_head(head: bytes) -> Request:
    """Returns the request whose header section is `head`, which ends with its empty line.

    Raises `BadRequest`.
    """
    collector = _HeadCollector()
    method, version = collector.run(head)
    headers, is_1_1 = collector.headers, version == "1.1"
    target = _origin_form(collector.target, headers)
    if is_1_1 and "host" not in headers:
        raise BadRequest  # RFC 9112 section 3.2
    options = [option.strip() for option in headers.get("connection", "").lower().split(",")]
    return Request(
        method,
        target,
        headers,
        _content_length(headers, is_1_1=is_1_1),
        # HTTP/1.0 has keep-alive by a convention of its own, which no client of ours needs.
        close_connection=not is_1_1 or "close" in options,
        expects_continue=is_1_1 and headers.get("expect", "").lower() == "100-continue",
    )


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
