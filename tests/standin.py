"""A stand-in for SendGrid and Vonage: a real HTTP(S) server that answers as it is told.

    with StandIn() as sendgrid, StandIn(tls=True) as vonage:
        sendgrid.answer_with(status(429, {"Retry-After": "3"}), drop())
        ...  # SENDGRID_HOST=sendgrid.url, VONAGE_HOST=vonage.host,
        ...  # REQUESTS_CA_BUNDLE=vonage.ca_file
        sendgrid.wait_for(2)

Each request takes the next answer of the queue; when that is empty, `usual` answers, which by
default accepts the message as the real provider does.
"""

import json
import socket
import ssl
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message as Headers
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl

import trustme

type Answer = Callable[[Handler], None]


@dataclass(frozen=True)
class Request:
    """What the stand-in received."""

    method: str
    path: str
    headers: Headers
    body: bytes

    @property
    def json(self) -> Any:
        """The body of a request to SendGrid."""
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        """The body of a request to Vonage."""
        return dict(parse_qsl(self.body.decode("ascii"), keep_blank_values=True))


class StandIn:
    """The server. `url` is for SendGrid's host setting, `host` (with a port) for Vonage's."""

    def __init__(self, *, tls: bool = False) -> None:
        self.requests: list[Request] = []
        self.usual: Answer = accept()
        self.released = threading.Event()
        self.ids = count(1)
        self._answers: deque[Answer] = deque()
        self._arrived = threading.Condition()
        self._folder = tempfile.TemporaryDirectory()
        self.ca_file = str(Path(self._folder.name) / "ca.pem")
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.standin = self
        if tls:
            self._server.socket = self._wrap(self._server.socket)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"{'https' if tls else 'http'}://{self.host}"
        # A short poll makes the end of a test quick.
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._folder.cleanup()

    def answer_with(self, *answers: Answer) -> None:
        """Queue answers for the next requests, one each."""
        self._answers.extend(answers)

    def release(self) -> None:
        """End every `hang` and `drip`, those to come included."""
        self.released.set()

    def wait_for(self, number: int, timeout: float = 10.0) -> list[Request]:
        """The requests, once there are at least `number`. Raises TimeoutError."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.requests) >= number, timeout):
                raise TimeoutError(f"{len(self.requests)} requests, not {number}")
            return list(self.requests)

    def take(self, request: Request) -> Answer:
        """Record a request, and say how to answer it."""
        with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()
            return self._answers.popleft() if self._answers else self.usual

    def _wrap(self, listening: socket.socket) -> ssl.SSLSocket:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca_file)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        # The handshake belongs to the thread of the connection, not to the one that accepts.
        return context.wrap_socket(listening, server_side=True, do_handshake_on_connect=False)


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # many clients at once must not wait for a second SYN
    standin: StandIn

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what the tests are about; other errors are shown."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection; answers are functions of it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or the second write of an answer waits 40 ms
    server: _Server

    @property
    def standin(self) -> StandIn:
        """The server that this connection belongs to."""
        return self.server.standin

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # named by the base
        """Say nothing."""

    def reply(self, code: int, headers: dict[str, str], body: bytes) -> None:
        """A whole answer."""
        self.begin(code, {"Content-Length": str(len(body)), **headers})
        self.wfile.write(body)

    def begin(self, code: int, headers: dict[str, str]) -> None:
        """The status line and the headers of an answer."""
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def hang_up(self) -> None:
        """Close the connection as it is."""
        self.close_connection = True
        self.wfile.flush()
        socket.socket.shutdown(self.connection, socket.SHUT_RDWR)

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.request_taken = Request(self.command, self.path, self.headers, body)
        self.standin.take(self.request_taken)(self)

    do_GET = do_POST = do_PUT = _any  # noqa: N815  # http.server finds them by these names


def accept() -> Answer:
    """Take the message as the real provider does, with a message id of its own."""

    def answer(to: Handler) -> None:
        number = next(to.standin.ids)
        if to.path == "/sms/json":
            part = {"to": to.request_taken.form.get("to"), "message-id": f"sms-{number}"}
            sms({**part, "status": "0"})(to)
        else:
            to.reply(202, {"X-Message-Id": f"mail-{number}"}, b"")

    return answer


def status(code: int, headers: dict[str, str] | None = None, body: bytes = b"{}") -> Answer:
    """Any status with any body."""
    return lambda to: to.reply(code, {"Content-Type": "application/json", **(headers or {})}, body)


def sms(*parts: dict[str, Any]) -> Answer:
    """Vonage's 200, in the body of which it says how each part went."""
    body = {"message-count": str(len(parts)), "messages": list(parts)}
    return status(200, body=json.dumps(body).encode())


def redirect(to_url: str, code: int = 307) -> Answer:
    """Send the client elsewhere."""
    return status(code, {"Location": to_url})


def raw(data: bytes) -> Answer:
    """These bytes, HTTP or not, and hang up."""

    def answer(to: Handler) -> None:
        to.wfile.write(data)
        to.hang_up()

    return answer


def drop() -> Answer:
    """Hang up after the whole request was read, without a byte of an answer."""
    return lambda to: to.hang_up()


def drop_midway(code: int = 200) -> Answer:
    """Hang up in the middle of the body."""

    def answer(to: Handler) -> None:
        to.begin(code, {"Content-Length": "1000"})
        to.wfile.write(b'{"message-count": "1", ')
        to.hang_up()

    return answer


def hang() -> Answer:
    """Say nothing until released, then hang up."""

    def answer(to: Handler) -> None:
        to.standin.released.wait()
        to.hang_up()

    return answer


def drip(code: int = 200, pause: float = 0.05, *, in_headers: bool = False) -> Answer:
    """An answer that never ends, a byte in each pause, until released: no single wait is long."""

    def answer(to: Handler) -> None:
        if in_headers:
            to.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        else:
            to.begin(code, {"Content-Length": "1000000"})
        while not to.standin.released.wait(pause):
            to.wfile.write(b" ")
        to.hang_up()

    return answer
