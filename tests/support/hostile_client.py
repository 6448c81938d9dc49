"""A hostile HTTP client: sends anything, and checks every byte that it receives."""

import select
import socket
import struct
import time

from local.tcp_ports import HOST
from tests.support.hostile_messages import Message
from tests.support.hostile_responses import Person, Responses, Sent

TIMEOUT = 10.0  # seconds for whatever must happen; a busy machine is no failure
RECEIVE_BUFFER = 16_384  # bytes; small, so that a client that stops reading is soon noticed
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER


class HostileClient:
    """A connection to 127.0.0.1:`port`. No method blocks but `settle`.

    Data that the server does not accept yet is held back, and sent before further data. With
    `reading` set to False, nothing is received.
    """

    def __init__(self, port: int, person: Person, name: str, timeout: float = TIMEOUT) -> None:
        self.connection = socket.socket()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection.settimeout(timeout)
        self.connection.connect((HOST, port))
        self.connection.setblocking(False)
        self.port: int = self.connection.getsockname()[1]
        self.reading = True
        self.closed = False  # by the client
        self._timeout = timeout
        self._token = person.token.encode()
        self._name = name
        self._started_at = time.monotonic()
        self._responses = Responses(person)
        self._held_back = b""
        self._sent_bytes = 0
        self._sending_failed = False
        self._server_closed = False

    # --- What it does ----------------------------------------------------------------------------

    def send(self, messages: list[Message], hold_back: int = 0, *, bytewise: bool = False) -> None:
        """Sends messages in one segment without the last `hold_back` bytes, or byte by byte."""
        sent = self._responses.sent
        for message in messages:
            sent_id = f"{self._name}-{len(sent):05}"
            text = message.text.replace(b"{id}", sent_id.encode()).replace(b"{token}", self._token)
            begin = self._sent_bytes + len(self._held_back)
            self._held_back += text
            sent.append(Sent(message, sent_id, begin, begin + len(text)))
        self._send(len(self._held_back) - hold_back, 1 if bytewise else len(self._held_back))
        self.receive_all()

    def drip(self) -> None:
        """Sends one byte of what was held back, if there is one; it may come too late."""
        self._responses.timely_bytes = min(self._responses.timely_bytes, self._sent_bytes)
        self._send(min(1, len(self._held_back)), 1)
        self.receive_all()

    def half_close(self) -> None:
        """Shuts the sending side down."""
        self._held_back = b""
        try:
            self.connection.shutdown(socket.SHUT_WR)
        except OSError:
            self._sending_failed = True  # the server was first

    def close(self, *, reset: bool = False) -> None:
        """Closes the connection, gracefully or with a reset."""
        if reset and not self.closed:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.connection.close()
        self.closed = True

    def _send(self, limit: int, piece: int) -> None:
        """Sends at most `limit` bytes of what was held back, `piece` bytes at a time."""
        count = 0
        try:
            while count < limit:
                count += self.connection.send(self._held_back[count : min(limit, count + piece)])
        except BlockingIOError:
            pass  # the server takes no more for now
        except OSError:
            self._sending_failed = True
        self._sent_bytes += count
        self._held_back = self._held_back[count:]

    # --- What it receives ------------------------------------------------------------------------

    def receive_all(self) -> None:
        """Checks all received data, if it reads. Raises what `receive` raises."""
        while self.reading and self.receive(1_000_000):
            pass

    def receive(self, limit: int) -> bool:
        """Checks at most `limit` received bytes; returns whether there were any.

        Raises `AssertionError` for a wrong response, `h11.RemoteProtocolError` for an invalid one.
        """
        if self._server_closed:
            return False
        try:
            data = self.connection.recv(limit)
        except BlockingIOError:
            return False
        except ConnectionError:
            data = b""
        self._server_closed = not data
        self._responses.feed(data, self._sent_bytes)
        return bool(data)

    def settle(self, old: float) -> None:
        """Returns once every completely sent request has its response.

        Raises `AssertionError` if the server closed the connection before that without announcing
        it, unless the connection is `old` seconds old and a deadline may have passed.
        """
        self.reading = True
        responses, deadline, answered = self._responses, 0.0, -1
        while True:
            if responses.answered > answered:  # each response may take its time
                deadline, answered = time.monotonic() + self._timeout, responses.answered
            if not self._sending_failed:
                self._send(len(self._held_back), len(self._held_back))
            self.receive_all()
            missing = responses.unanswered(self._sent_bytes)
            if responses.final or self._server_closed or not missing:
                break
            assert time.monotonic() < deadline, f"no response to {missing[0]}"
            select.select([self.connection], [], [], 0.05)
        age = time.monotonic() - self._started_at
        if self._server_closed and not responses.final and age < old:
            assert not missing, f"closed before a response to {missing[0]}"
            assert not responses.incomplete, "closed within a response"
