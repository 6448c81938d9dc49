"""A fake SendGrid or Vonage: a real HTTP(S) server with scripted responses.

    with FakeProvider() as sendgrid, FakeProvider(tls=True) as vonage:
        sendgrid.queue_responses(status(429, {"Retry-After": "3"}), drop())
        ...  # SENDGRID_HOST=sendgrid.url, VONAGE_HOST=vonage.host,
        ...  # REQUESTS_CA_BUNDLE=vonage.ca_file
        sendgrid.wait_for(2)

Each request takes the next response of the queue; when it is empty, `default_response` is sent,
which accepts the message as the real provider does.
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

type Respond = Callable[[Handler], None]


@dataclass(frozen=True)
class Request:
    """A request that was received."""

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


def provider_settings(sendgrid: "FakeProvider", vonage: "FakeProvider") -> dict[str, str]:
    """Returns the environment of a service that sends messages to these two."""
    return {
        "MESSAGE_BACKEND": "providers",
        "SENDGRID_HOST": sendgrid.url,
        "SENDGRID_API_KEY": "SG.test",
        "EMAIL_FROM": "hello@rollcall.example",
        "VONAGE_HOST": vonage.host,
        "VONAGE_API_KEY": "key",
        "VONAGE_API_SECRET": "secret",
        "REQUESTS_CA_BUNDLE": str(vonage.ca_file),
    }


class FakeProvider:
    """The server. `url` is for SendGrid's host setting, `host` (with a port) for Vonage's."""

    def __init__(self, *, tls: bool = False) -> None:
        self.requests: list[Request] = []
        self.default_response: Respond = accept()
        self.released = threading.Event()
        self.ids = count(1)
        self.connections = 0
        self._queue: deque[Respond] = deque()
        self._received = threading.Condition()
        self._folder = tempfile.TemporaryDirectory()
        self.ca_file = str(Path(self._folder.name) / "ca.pem")
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.provider = self
        if tls:
            self._server.socket = self._wrap(self._server.socket)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"{'https' if tls else 'http'}://{self.host}"
        # A short poll interval, for a fast shutdown.
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

    def queue_responses(self, *responses: Respond) -> None:
        """Queues responses for the next requests, one each."""
        self._queue.extend(responses)

    def release(self) -> None:
        """Ends every `hang` and `drip`, also future ones."""
        self.released.set()

    def wait_for(self, number: int, timeout: float = 10.0) -> list[Request]:
        """Returns the requests once there are at least `number`. Raises `TimeoutError`."""
        with self._received:
            if not self._received.wait_for(lambda: len(self.requests) >= number, timeout):
                raise TimeoutError(f"{len(self.requests)} requests, not {number}")
            return list(self.requests)

    def record(self, request: Request) -> Respond:
        """Records a request; returns its response."""
        with self._received:
            self.requests.append(request)
            self._received.notify_all()
            return self._queue.popleft() if self._queue else self.default_response

    def _wrap(self, listening: socket.socket) -> ssl.SSLSocket:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca_file)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        # The thread of the connection does the handshake, not the one that accepts.
        return context.wrap_socket(listening, server_side=True, do_handshake_on_connect=False)


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # many clients at once must not retransmit a SYN
    provider: FakeProvider

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores clients that disconnect, which tests do; shows other errors."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection; responses are functions of it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the second write of a response waits 40 ms
    server: _Server

    def setup(self) -> None:
        """Counts the connections."""
        super().setup()
        self.provider.connections += 1

    @property
    def provider(self) -> FakeProvider:
        """The server of this connection."""
        return self.server.provider

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # named by the base
        """Logs nothing."""

    def reply(self, code: int, headers: dict[str, str], body: bytes) -> None:
        """Sends a whole response."""
        self.send_head(code, {"Content-Length": str(len(body)), **headers})
        self.wfile.write(body)

    def send_head(self, code: int, headers: dict[str, str]) -> None:
        """Sends the status line and the headers of a response."""
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def close(self) -> None:
        """Closes the connection immediately."""
        self.close_connection = True
        self.wfile.flush()
        socket.socket.shutdown(self.connection, socket.SHUT_RDWR)

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.request = Request(self.command, self.path, self.headers, body)
        self.provider.record(self.request)(self)

    do_GET = do_POST = do_PUT = _handle  # noqa: N815  # http.server finds them by these names


def accept() -> Respond:
    """Accepts the message as the real provider does, with a message id."""

    def respond(handler: Handler) -> None:
        number = next(handler.provider.ids)
        if handler.path == "/sms/json":
            part = {"to": handler.request.form.get("to"), "message-id": f"sms-{number}"}
            sms({**part, "status": "0"})(handler)
        else:
            handler.reply(202, {"X-Message-Id": f"mail-{number}"}, b"")

    return respond


def fail_first(failures: dict[str, Respond], default: Respond) -> Respond:
    """Responds with a failure to the first request whose body contains its key."""

    def respond(handler: Handler) -> None:
        body = handler.request.body.decode()
        key = next((key for key in list(failures) if key in body), "")
        failures.pop(key, default)(handler)

    return respond


def status(code: int, headers: dict[str, str] | None = None, body: bytes = b"{}") -> Respond:
    """Responds with any status and body."""
    return lambda handler: handler.reply(
        code, {"Content-Type": "application/json", **(headers or {})}, body
    )


def sms(*parts: dict[str, Any]) -> Respond:
    """Responds with Vonage's 200, whose body has the status of each part."""
    body = {"message-count": str(len(parts)), "messages": list(parts)}
    return status(200, body=json.dumps(body).encode())


def redirect(to_url: str, code: int = 307) -> Respond:
    """Redirects the client."""
    return status(code, {"Location": to_url})


def raw(data: bytes) -> Respond:
    """Sends these bytes, HTTP or not, and closes the connection."""

    def respond(handler: Handler) -> None:
        handler.wfile.write(data)
        handler.close()

    return respond


def drop() -> Respond:
    """Closes the connection after the request, without a response."""
    return lambda handler: handler.close()


def drop_midway(code: int = 200) -> Respond:
    """Closes the connection in the middle of the body."""

    def respond(handler: Handler) -> None:
        handler.send_head(code, {"Content-Length": "1000"})
        handler.wfile.write(b'{"message-count": "1", ')
        handler.close()

    return respond


def hang() -> Respond:
    """Sends nothing until released, then closes the connection."""

    def respond(handler: Handler) -> None:
        handler.provider.released.wait()
        handler.close()

    return respond


def drip(code: int = 200, interval: float = 0.05, *, in_headers: bool = False) -> Respond:
    """Sends an endless response, a byte per interval, until released: no single wait is long."""

    def respond(handler: Handler) -> None:
        if in_headers:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        else:
            handler.send_head(code, {"Content-Length": "1000000"})
        while not handler.provider.released.wait(interval):
            handler.wfile.write(b" ")
        handler.close()

    return respond
