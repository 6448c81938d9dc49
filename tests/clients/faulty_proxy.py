"""A proxy in front of the service that fails when a test says so, and has a log of requests."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_PROBLEM = '{"detail": "A test.", "code": "%s", "status": %d}'
# Responses in place of the service's, by the name of the fault.
_RESPONSES = {
    "unavailable": (503, {"Retry-After": "1"}, _PROBLEM % ("unavailable", 503)),
    "long": (503, {"Retry-After": "3600"}, _PROBLEM % ("unavailable", 503)),
    "limited": (429, {"Retry-After": "7"}, _PROBLEM % ("rate_limited", 429)),
    "unknown": (418, {"X-Request-ID": "request-1"}, _PROBLEM % ("from_the_future", 418)),
    "in progress": (409, {}, _PROBLEM % ("idempotency_in_progress", 409)),
    "page": (502, {"Content-Type": "text/html"}, "<h1>Bad gateway</h1>"),
    "redirect": (302, {"Location": "https://other.example/"}, ""),
    "malformed": (200, {}, "[1]"),
}
_NOT_FORWARDED = {"connection", "transfer-encoding", "content-length"}


class FaultyProxy(ThreadingHTTPServer):
    """`POST /faults` with a list of faults: for as many next requests; null is none. "drop": the
    connection is closed after the service has carried the request out; "hang": there is no
    response until the end. `GET /log` returns the requests since the last one, with the status.
    """

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(target).netloc
        self.faults: list[str | None] = []
        self.log: list[str] = []
        self.ended = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyProxy

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/faults":
            self.server.faults = json.loads(body)
            self._respond(200, {}, b"{}")
        elif self.path == "/log":
            log, self.server.log = self.server.log, []
            self._respond(200, {}, json.dumps(log).encode())
        else:
            self._forward(body)

    def _forward(self, body: bytes) -> None:
        is_api = self.path.startswith("/api/")
        fault = self.server.faults.pop(0) if is_api and self.server.faults else None
        if fault == "hang":
            self.close_connection = True
            self.server.ended.wait(30)
        elif fault in _RESPONSES:
            status, headers, text = _RESPONSES[str(fault)]
            self.server.log.append(f"{self.command} {self.path} {status}")
            self._respond(status, headers, text.encode())
        else:
            connection = http.client.HTTPConnection(self.server.target, timeout=20)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _NOT_FORWARDED}
            connection.request(self.command, self.path, body or None, headers)
            response = connection.getresponse()
            content = response.read()
            connection.close()
            if is_api:
                self.server.log.append(f"{self.command} {self.path} {fault or response.status}")
            if fault == "drop":
                self.close_connection = True
            else:
                self._respond(response.status, dict(response.headers.items()), content)

    def _respond(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in _NOT_FORWARDED:
                self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815  # http.server calls them so

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def faulty_proxy(target: str) -> Iterator[FaultyProxy]:
    """Runs a proxy to the service at `target` until the end of the block."""
    with FaultyProxy(target) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=[0.05])
        thread.start()
        yield proxy
        proxy.ended.set()
        proxy.shutdown()
        thread.join()
