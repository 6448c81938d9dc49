"""The requests of hostile clients, and the responses that are allowed.

Placeholders in a message: `{id}` is unique each time that it is sent, and returned as the
response's `x-request-id`; `{token}` is the client's own session.
"""

import json
from dataclasses import dataclass, replace
from typing import Any

# Statuses after which the connection must end: the request was not read completely.
REFUSED = frozenset({400, 408, 413, 414, 431, 501, 505})
# Statuses that an incomplete request may get instead.
UNFINISHED = frozenset({400, 408, 413, 431, 503})
# The write process may be unavailable, and its limits may be reached.
PROXIED = frozenset({429, 503})

LARGE_FILE = "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"  # 1.6 MB


@dataclass(frozen=True)
class Message:
    """The bytes of one request, and its allowed responses.

    `final`: the response must be the last one on its connection. `own`: a 200 to GET must have the
    profile of the client that sent the request, which detects mix-ups. `interim`: a 100 may come
    first. `cost`: the work of the server, in reads.
    """

    text: bytes
    statuses: frozenset[int]
    method: str = "GET"
    final: bool = False
    own: bool = False
    interim: bool = False
    cost: int = 1


_HOST = "Host: 127.0.0.1\r\n"
_BEARER = "Authorization: Bearer {token}\r\n"
_FORGED = f"Authorization: Bearer {'A' * 120}\r\n"
_JSON = "Content-Type: application/json\r\n"
_CHUNKED = "Transfer-Encoding: chunked\r\n"
_PROFILE = "/api/v1/profile/"


def _length(body: str) -> str:
    return f"Content-Length: {len(body)}\r\n"


def _chunks(*parts: str, trailers: str = "") -> str:
    return "".join(f"{len(part):x}\r\n{part}\r\n" for part in parts) + f"0\r\n{trailers}\r\n"


def _request(
    *statuses: int,
    line: str = f"GET {_PROFILE}",
    headers: str = "",
    body: str = "",
    host: str = _HOST,
    **more: Any,
) -> Message:
    """Returns a request without a body, or with one that `headers` describe."""
    version = "" if " HTTP/" in line else " HTTP/1.1"
    text = f"{line}{version}\r\n{host}X-Request-ID: {{id}}\r\n{headers}\r\n{body}"
    return Message(text.encode("latin-1"), frozenset(statuses), line.partition(" ")[0], **more)


def _read(headers: str = "", line: str = f"GET {_PROFILE}", body: str = "", **more: Any) -> Message:
    """Returns a read of the client's own profile."""
    return _request(200, line=line, headers=_BEARER + headers, body=body, own=True, **more)


def _proxied(line: str, *statuses: int, headers: str = "", body: str = "", **more: Any) -> Message:
    message = _request(*statuses, *PROXIED, line=line, headers=headers, body=body, **more)
    return replace(message, cost=15)


def _with_body(line: str, *statuses: int, headers: str = "", body: str) -> Message:
    return _proxied(line, *statuses, headers=headers + _length(body), body=body)


def _sign_up(*statuses: int, headers: str = "", body: str = "{}", **more: Any) -> Message:
    """Returns a sign-up that is refused; its body has a length unless it comes in chunks."""
    headers += _JSON if _CHUNKED in headers else _JSON + _length(body)
    return _proxied("POST /api/v1/signup/", *statuses, headers=headers, body=body, **more)


# Well-framed requests, with all allowed statuses.
WELL_FRAMED: dict[str, Message] = {
    "read": _read(),
    "read with forged token": _request(401, headers=_FORGED),
    "read without token": _request(401),
    "HEAD": _read(line=f"HEAD {_PROFILE}"),
    "conditional read": _request(304, headers=_BEARER + "If-None-Match: *\r\n"),
    "read of a long URL": _read(line=f"GET {_PROFILE}?{'a' * 7900}"),
    "absolute-form read": _read(line=f"GET http://127.0.0.1{_PROFILE}"),
    "read with an empty body in chunks": _read(_CHUNKED, body="0\r\n\r\n"),
    "read with a body": _read(_length("{}"), body="{}"),
    "read with 60 headers": _read("".join(f"X-{n}: {n}\r\n" for n in range(60))),
    "no Host": _request(400, headers=_BEARER, host=""),
    "two Hosts": _request(400, headers=_BEARER, host=_HOST * 2),
    "h2c": _read("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n"),
    "WebSocket": _read("Connection: Upgrade\r\nUpgrade: websocket\r\n"),
    "OPTIONS": _proxied(f"OPTIONS {_PROFILE}", 200, 204, 404, 405),
    "OPTIONS *": _proxied("OPTIONS *", 200, 204, 400, 404, 405),
    "livez": _request(200, line="GET /livez"),
    "readyz": _request(200, line="GET /readyz?capability=read"),
    "not found": _proxied("GET /nowhere", 404),
    "large file": replace(_proxied(f"GET {LARGE_FILE}", 200), cost=100),
}


def _repeated(token: str, *statuses: int, body: str = "", method: str = "GET") -> Message:
    text = f"{method} {_PROFILE} HTTP/1.1\r\n{_HOST}Authorization: Bearer {token}\r\n\r\n{body}"
    return Message(text.encode("latin-1"), frozenset(statuses or REFUSED), method, own=True)


# A repeated read, which a server may cache, and similar requests.
REPEATED: dict[str, Message] = {
    "repeated read": _repeated("{token}", 200),
    "repeated HEAD": _repeated("{token}", 200, method="HEAD"),
    "repeated read with forged token": _repeated("A" * 120, 401),
    "repeated read with a space in the token": _repeated("{token} x", 401),
    "repeated read with an empty token": _repeated("", 401),
    "repeated read with two tokens": _repeated(f"{{token}}\r\n{_FORGED.strip()}", 400, 401),
    "repeated read with a body": _repeated("{token}\r\nContent-Length: 2", 200, body="{}"),
    "repeated read with NUL in the token": _repeated("x\0y"),
    "repeated read with a line feed in the token": _repeated("x\nHost: b"),
}

# Unexpected bodies, and requests that the write process rejects early or late.
BODIES: dict[str, Message] = {
    "POST to the profile": _with_body(f"POST {_PROFILE}", 405, headers=_BEARER, body="1"),
    "POST of 2 kB to the profile": _with_body(f"POST {_PROFILE}", 405, body=" " * 2000),
    "POST of 70 kB to the profile": _with_body(f"POST {_PROFILE}", 405, 413, body=" " * 70_000),
    "PUT in chunks": _proxied(f"PUT {_PROFILE}", 405, headers=_CHUNKED, body=_chunks("{", "}")),
    "PATCH with forged token": _with_body(
        f"PATCH {_PROFILE}", 401, headers=_FORGED + _JSON, body="{}"
    ),
    "PATCH of nonsense": _with_body(f"PATCH {_PROFILE}", 400, headers=_BEARER + _JSON, body="{"),
    "DELETE with a body, no token": _with_body(f"DELETE {_PROFILE}", 401, body="x" * 300),
    "sign-up": _sign_up(400),
    "sign-up in chunks": _sign_up(400, headers=_CHUNKED, body=_chunks("{", "}")),
    "sign-up with trailers": _sign_up(
        400, headers=_CHUNKED, body=_chunks("{}", trailers="A: b\r\nHost: c\r\n")
    ),
    "sign-up with chunk extensions": _sign_up(
        400, headers=_CHUNKED, body='2;a=b;c="d"\r\n{}\r\n0\r\n\r\n'
    ),
    "sign-up of 70 kB": _sign_up(413, body=json.dumps({"name": "a" * 70_000})),
    "sign-up of a text": _with_body("POST /api/v1/signup/", 415, body="hello"),
    "sign-up that expects 100": _sign_up(400, headers="Expect: 100-continue\r\n", interim=True),
    "sign-up with 100 kB of trailers": _sign_up(
        *REFUSED, headers=_CHUNKED, body=_chunks("{}", trailers="A: b\r\n" * 17_000)
    ),
    "sign-up with a chunk extension of 100 kB": _sign_up(
        *REFUSED, headers=_CHUNKED, body=f"2;{'a' * 100_000}\r\n{{}}\r\n0\r\n\r\n"
    ),
    "webhook": _with_body("POST /webhooks/sendgrid/", 401, headers=_JSON, body="[]"),
}

# Requests after which the connection ends.
LAST: dict[str, Message] = {
    "last read": _read("Connection: close\r\n", final=True),
    "HTTP/1.0 read": _read(line=f"GET {_PROFILE} HTTP/1.0", final=True),
    "HTTP/1.0 read to keep alive": _read(
        "Connection: keep-alive\r\n", line=f"GET {_PROFILE} HTTP/1.0", final=True
    ),
    "HTTP/1.0 sign-up that expects 100": _proxied(
        "POST /api/v1/signup/ HTTP/1.0",
        400,
        headers=_JSON + "Expect: 100-continue\r\n" + _length("{}"),
        body="{}",
        final=True,
    ),
    "last sign-up": _sign_up(400, headers="Connection: close\r\n", final=True),
    # A server that accepts no tunnel may close, but has to say so (RFC 9112 section 9.6).
    "CONNECT": _proxied("CONNECT 127.0.0.1:80", *REFUSED, 404, 405, final=True),
}


def _wrong(text: str | bytes) -> Message:
    return Message(text if isinstance(text, bytes) else text.encode("latin-1"), REFUSED, final=True)


def _wrong_read(headers: str, line: str = f"GET {_PROFILE}") -> Message:
    return _wrong(_read(headers, line).text)


def _wrong_sign_up(headers: str, body: str) -> Message:
    """Returns a sign-up with wrong framing. An overloaded proxy rejects it before its body."""
    message = _wrong(_proxied("POST /api/v1/signup/", headers=_JSON + headers, body=body).text)
    return replace(message, statuses=REFUSED | {503})


_READ = WELL_FRAMED["read"].text.decode()  # a request that might be smuggled in a body

# What a server must neither act on nor read past (RFC 9112 sections 2.2, 3, 5, 6 and 11.2).
WRONG: dict[str, Message] = {
    "nonsense": _wrong("how are you?\r\n\r\n"),
    "TLS": _wrong(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256))),
    "HTTP/2": _wrong("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/9.9": _wrong_read("", line=f"GET {_PROFILE} HTTP/9.9"),
    "unknown method": _wrong_read("", line=f"BREW {_PROFILE}"),
    "two lengths": _wrong_sign_up("Content-Length: 2\r\nContent-Length: 3\r\n", "{}"),
    "negative length": _wrong_sign_up("Content-Length: -1\r\n", ""),
    "huge length": _wrong_sign_up(f"Content-Length: {'9' * 30}\r\n", ""),
    "length in words": _wrong_sign_up("Content-Length: two\r\n", "{}"),
    "length and chunks": _wrong_sign_up(_length("0000") + _CHUNKED, "0\r\n\r\n" + _READ),
    "chunks twice": _wrong_sign_up(_CHUNKED + "Transfer-Encoding: identity\r\n", _chunks("{}")),
    "gzip as framing": _wrong_sign_up("Transfer-Encoding: gzip\r\n", _READ),
    "bad chunk size": _wrong_sign_up(_CHUNKED, "zz\r\n{}\r\n0\r\n\r\n" + _READ),
    "negative chunk size": _wrong_sign_up(_CHUNKED, "-2\r\n{}\r\n0\r\n\r\n" + _READ),
    "huge chunk size": _wrong_sign_up(_CHUNKED, f"{'f' * 17}\r\n" + _READ),
    "chunk longer than its size": _wrong_sign_up(_CHUNKED, "1\r\n{}\r\n0\r\n\r\n" + _READ),
    "folded header": _wrong_read("A: b\r\n c\r\n"),
    "space before the colon": _wrong_read("A : b\r\n"),
    "header without a colon": _wrong_read("hello\r\n"),
    "bare line feeds": _wrong(_READ.replace("\r\n", "\n")),
    "bare carriage return": _wrong_read("A: b\rc\r\n"),
    "NUL": _wrong_read("A: \0\r\n"),
    "too many headers": _wrong_read("".join(f"X-{n}: {n}\r\n" for n in range(150))),
    "head of 70 kB": _wrong_read(f"A: {'b' * 70_000}\r\n"),
    "target of 70 kB": _wrong_read("", line=f"GET /{'p' * 70_000}"),
}

MESSAGES = WELL_FRAMED | REPEATED | BODIES | LAST | WRONG
