"""A scripted server in place of the write process; it records what the proxy sends."""

import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Upstream:
    """Listens on a unix socket. `requests` has the raw bytes of each request.

    `reply` is sent to each; None: nothing until `release` is called.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reply: bytes | None = OK
        self.requests: Queue[bytes] = Queue()
        self._released = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(128)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        """The value of WRITE_UPSTREAM."""
        return f"unix:{self.path}"

    def release(self) -> None:
        """Replies to all waiting and further requests at once."""
        self._released.set()

    def close(self) -> None:
        """Stops listening; replies to requests in progress."""
        self.release()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)
        self.path.unlink()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=[connection], daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            self.requests.put(read_request(connection))
            if self.reply is None:
                self._released.wait()
            try:
                connection.sendall(OK if self.reply is None else self.reply)
            except OSError:
                return  # the proxy has given up


def read_request(connection: socket.socket) -> bytes:
    """Returns a whole request, which has a length or no body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            while len(body) < int(line.partition(b":")[2]):
                body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def listening(path: Path | None = None) -> Iterator[Upstream]:
    """Runs an upstream until the end of the block, by default on a path of its own."""
    with tempfile.TemporaryDirectory(prefix="rollcall-") as folder:
        upstream = Upstream(path or Path(folder) / "upstream.sock")
        try:
            yield upstream
        finally:
            upstream.close()
