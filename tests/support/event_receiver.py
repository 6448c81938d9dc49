"""A receiver of events: a server in a process of its own, which tests kill. It fails a third of the
requests, none more than three times, and appends what it accepts to a file before it responds.

    python -m tests.support.event_receiver PORT FILE [DELAY]
"""

import random
import sys
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_RANDOM = random.Random(14)
_failures: Counter[str] = Counter()


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # named by the base
        """Logs nothing."""

    def do_POST(self) -> None:
        """Accepts an event, or not."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(DELAY)  # what a receiver needs for its work
        webhook_id = self.headers["webhook-id"]
        is_accepted = _failures[webhook_id] > 2 or _RANDOM.random() >= 1 / 3
        if not is_accepted:
            _failures[webhook_id] += 1
        else:
            line = b"%b %b\n" % (webhook_id.encode(), body)
            FILE.write(line)  # unbuffered, in one write
        self.send_response(204 if is_accepted else 500)
        self.send_header("Content-Length", "0")
        self.end_headers()


if __name__ == "__main__":
    DELAY = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
    with Path(sys.argv[2]).open("ab", buffering=0) as FILE:
        _Server(("127.0.0.1", int(sys.argv[1])), _Handler).serve_forever()
