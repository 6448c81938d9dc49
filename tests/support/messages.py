"""What hostile clients send as one request, and the responses that a server may give to it.

Placeholders in a message: `{id}` is unique to each time that it is sent, and comes back as the
response's `x-request-id`; `{token}` is the client's own session.
"""

import json
from dataclasses import dataclass

BODY_LIMIT = 64 * 1024

# What follows cannot be told apart any more, or was refused unread: the connection has to end.
REFUSED = frozenset({400, 408, 413, 414, 431, 501, 505})
# A client that sends a part of a request and no more may see these in place of the response.
UNFINISHED = frozenset({400, 408, 413, 431, 503})
# The write process may be unavailable, its limits may be reached.
_PROXIED = frozenset({429, 503})


@dataclass(frozen=True)
class Message:
    """The bytes of one request, and what is right in its response.

    `final`: the response must be the last one on its connection. `own`: a 200 holds the profile of
    the client that asked, so that a mix-up is seen. `interim`: a 100 may come first.
    """

    text: bytes
    statuses: frozenset[int]
    method: str = "GET"
    final: bool = False
    own: bool = False
    interim: bool = False

    @property
    def cost(self) -> int:
        """What its response costs the server, in those of a read."""
        return 100 if b" /static" in self.text else 15 if 503 in self.statuses else 1


_BEARER = "Authorization: Bearer {token}\r\n"
_FORGED = f"Authorization: Bearer {'A' * 120}\r\n"
_JSON = "Content-Type: application/json\r\n"
_PROFILE = "/api/v1/profile/"
_SIGN_UP = "/api/v1/signup/"
_LARGE = "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"  # 1.6 MB
_HOST = "Host: 127.0.0.1\r\n"


def _request(
    *statuses: int,
    method: str = "GET",
    target: str = _PROFILE,
    headers: str = "",
    body: str | bytes = "",
    version: str = "1.1",
    host: str = _HOST,
    final: bool = False,
    own: bool = False,
    interim: bool = False,
    length: bool = True,
) -> Message:
    content = body.encode() if isinstance(body, str) else body
    if content and length:
        headers += f"Content-Length: {len(content)}\r\n"
    head = f"{method} {target} HTTP/{version}\r\n{host}X-Request-ID: {{id}}\r\n{headers}\r\n"
    text = head.encode("latin-1") + content
    return Message(text, frozenset(statuses), method, final, own, interim)


def _read(headers: str = "", **more: object) -> Message:
    return _request(200, headers=_BEARER + headers, own=True, **more)  # type: ignore[arg-type]


def _write(
    *statuses: int, method: str, headers: str = "", body: str | bytes = "", **more: object
) -> Message:
    allowed = _PROXIED | {*statuses}
    return _request(*allowed, method=method, headers=headers, body=body, **more)  # type: ignore[arg-type]


def _sign_up(
    *statuses: int, headers: str = "", body: str | bytes = "{}", **more: object
) -> Message:
    headers = _JSON + headers
    return _write(*statuses, method="POST", target=_SIGN_UP, headers=headers, body=body, **more)


def _wrong(text: str | bytes) -> Message:
    content = text if isinstance(text, bytes) else text.encode("latin-1")
    return Message(content, REFUSED, final=True)


def _wrong_read(headers: str, **more: object) -> Message:
    return _wrong(_read(headers, **more).text)


def _wrong_sign_up(headers: str, body: str | bytes) -> Message:
    return _wrong(_sign_up(headers=headers, body=body, length=False).text)


def _chunks(*parts: str, trailers: str = "") -> str:
    return "".join(f"{len(part):x}\r\n{part}\r\n" for part in parts) + f"0\r\n{trailers}\r\n"


_CHUNKED = "Transfer-Encoding: chunked\r\n"
_SMUGGLED = _read().text.decode()

# Requests that end where they say, each with the only responses that are right.
RIGHT: dict[str, Message] = {
    "read": _read(),
    "read with forged token": _request(401, headers=_FORGED),
    "read without token": _request(401),
    "HEAD": _read(method="HEAD"),
    "conditional read": _request(304, headers=_BEARER + "If-None-Match: *\r\n"),
    "read of a long URL": _read(target=_PROFILE + "?" + "a" * 8000),
    "absolute-form read": _read(target=f"http://127.0.0.1{_PROFILE}"),
    "read with an empty body in chunks": _read(_CHUNKED, body="0\r\n\r\n", length=False),
    "read with a body": _read(body="{}"),
    "read with 60 headers": _read("".join(f"X-{n}: {n}\r\n" for n in range(60))),
    "OPTIONS": _write(200, 204, 404, 405, method="OPTIONS"),
    "OPTIONS *": _write(200, 204, 400, 404, 405, method="OPTIONS", target="*"),
    "livez": _request(200, target="/livez"),
    "readyz": _request(200, target="/readyz?capability=read"),
    "nowhere": _write(404, method="GET", target="/nowhere"),
    "a large file": _write(200, 404, method="GET", target=_LARGE),
    "no Host": _request(400, headers=_BEARER, host=""),
    "two Hosts": _request(400, headers=_BEARER, host=_HOST * 2),
}

# Bodies where none is wanted, and requests that are refused early or late by the write side.
BODIES: dict[str, Message] = {
    "POST to the profile": _write(405, method="POST", body="1", headers=_BEARER),
    "POST of 2 kB to the profile": _write(405, method="POST", body=" " * 2000, headers=_BEARER),
    "POST of 70 kB to the profile": _write(405, 413, method="POST", body=" " * 70_000),
    "PUT in chunks": _write(
        405, method="PUT", headers=_CHUNKED, body=_chunks("{", "}"), length=False
    ),
    "PATCH with forged token": _write(401, method="PATCH", headers=_FORGED + _JSON, body="{}"),
    "PATCH of nonsense": _write(400, method="PATCH", headers=_BEARER + _JSON, body="{"),
    "DELETE with a body and no token": _write(401, method="DELETE", body="x" * 300),
    "sign-up": _sign_up(400),
    "sign-up in chunks": _sign_up(400, headers=_CHUNKED, body=_chunks("{", "}"), length=False),
    "sign-up with trailers": _sign_up(
        400, headers=_CHUNKED, body=_chunks("{}", trailers="A: b\r\nHost: c\r\n"), length=False
    ),
    "sign-up with chunk extensions": _sign_up(
        400, headers=_CHUNKED, body='2;a=b;c="d"\r\n{}\r\n0\r\n\r\n', length=False
    ),
    "sign-up of 70 kB": _sign_up(413, body=json.dumps({"name": "a" * 70_000})),
    "sign-up of a text": _write(415, method="POST", target=_SIGN_UP, body="hello"),
    "sign-up that waits for 100": _sign_up(400, headers="Expect: 100-continue\r\n", interim=True),
    "sign-up with a trailer of 100 kB": _sign_up(
        *REFUSED,
        headers=_CHUNKED,
        body=_chunks("{}", trailers="A: b\r\n" * 17_000),
        length=False,
    ),
    "sign-up with a chunk extension of 100 kB": _sign_up(
        *REFUSED, headers=_CHUNKED, body=f"2;{'a' * 100_000}\r\n{{}}\r\n0\r\n\r\n", length=False
    ),
    "webhook": _write(401, method="POST", target="/webhooks/sendgrid/", headers=_JSON, body="[]"),
}

# Right requests after which the connection ends.
LAST: dict[str, Message] = {
    "last read": _read("Connection: close\r\n", final=True),
    "HTTP/1.0 read": _read(version="1.0", final=True),
    "HTTP/1.0 read to be kept": _read("Connection: keep-alive\r\n", version="1.0", final=True),
    "HTTP/1.0 sign-up that waits for 100": _sign_up(
        400, headers="Expect: 100-continue\r\n", version="1.0", final=True
    ),
    "last sign-up": _sign_up(400, headers="Connection: close\r\n", final=True),
}

# Messages that a server must neither act on nor read past (RFC 9112 sections 2.2, 3.2, 5, 6, 11.2).
WRONG: dict[str, Message] = {
    "nonsense": _wrong("how are you?\r\n\r\n"),
    "TLS": _wrong(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256))),
    "HTTP/2": _wrong("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/9.9": _wrong_read("", version="9.9"),
    "CONNECT": Message(
        b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Request-ID: {id}\r\n\r\n",
        REFUSED | {404, 405} | _PROXIED,
        "POST",  # a success would turn the connection into a tunnel: none is right
        final=True,
    ),
    "unknown method": _wrong_read("", method="BREW"),
    "two lengths": _wrong_sign_up("Content-Length: 2\r\nContent-Length: 3\r\n", "{}"),
    "negative length": _wrong_sign_up("Content-Length: -1\r\n", ""),
    "huge length": _wrong_sign_up(f"Content-Length: {'9' * 30}\r\n", ""),
    "length in words": _wrong_sign_up("Content-Length: two\r\n", "{}"),
    "length and chunks": _wrong_sign_up(
        "Content-Length: 4\r\n" + _CHUNKED, "0\r\n\r\n" + _SMUGGLED
    ),
    "chunks twice": _wrong_sign_up(_CHUNKED + "Transfer-Encoding: identity\r\n", _chunks("{}")),
    "gzip as framing": _wrong_sign_up("Transfer-Encoding: gzip\r\n", _SMUGGLED),
    "bad chunk size": _wrong_sign_up(_CHUNKED, "zz\r\n{}\r\n0\r\n\r\n" + _SMUGGLED),
    "negative chunk size": _wrong_sign_up(_CHUNKED, "-2\r\n{}\r\n0\r\n\r\n" + _SMUGGLED),
    "huge chunk size": _wrong_sign_up(_CHUNKED, f"{'f' * 17}\r\n" + _SMUGGLED),
    "chunk longer than its size": _wrong_sign_up(_CHUNKED, "1\r\n{}\r\n0\r\n\r\n" + _SMUGGLED),
    "a folded header": _wrong_read("A: b\r\n c\r\n"),
    "a space before the colon": _wrong_read("A : b\r\n"),
    "a header without a colon": _wrong_read("hello\r\n"),
    "bare line feeds": _wrong(_SMUGGLED.replace("\r\n", "\n")),
    "a bare carriage return": _wrong_read("A: b\rc\r\n"),
    "a NUL": _wrong_read("A: \0\r\n"),
    "too many headers": _wrong_read("".join(f"X-{n}: {n}\r\n" for n in range(150))),
    "a head of 70 kB": _wrong_read(f"A: {'b' * 70_000}\r\n"),
    "a target of 70 kB": _wrong_read("", target="/" + "p" * 70_000),
}

# An offer to speak another protocol is not taken up; the request itself is answered.
UPGRADE: dict[str, Message] = {
    "h2c": _read("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n"),
    "WebSocket": _read("Connection: Upgrade\r\nUpgrade: websocket\r\n"),
}

MESSAGES = RIGHT | BODIES | LAST | WRONG | UPGRADE
