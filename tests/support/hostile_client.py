"""A hostile HTTP client: it sends what it likes, and checks every byte of what it gets.

The responses are read by h11, a parser that has nothing in common with the server's.
"""

import select
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any

import h11

from local.machine import HOST
from tests.support.messages import UNFINISHED, Message

TIMEOUT = 10.0  # seconds for whatever must come; a busy machine is no failure
_SMALL = 16_384  # bytes of a receive buffer that is soon full
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: close() resets the connection


@dataclass(frozen=True)
class Person:
    """Whose profile a client reads."""

    token: str
    profile: bytes


@dataclass
class Sent:
    """A message on its connection: where in the stream it begins and ends, and its id."""

    message: Message
    id: str
    begin: int
    end: int


class HostileClient:
    """One connection. Nothing here blocks but `settle`.

    What could not be sent yet is kept back, and goes out with what is sent next.
    """

    def __init__(self, port: int, person: Person, name: str, timeout: float = TIMEOUT) -> None:
        self.connection = socket.socket()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection.settimeout(timeout)
        self.connection.connect((HOST, port))
        self.connection.setblocking(False)
        self.port: int = self.connection.getsockname()[1]
        self.is_closed = False  # by the client
        self.reads = True
        self._timeout = timeout
        self._person = person
        self._name = name
        self._begun = time.monotonic()
        self._sent: list[Sent] = []
        self._answered = 0  # of these
        self._kept = b""  # bytes that were not sent yet
        self._out = 0  # bytes that were
        self._server_ended = False
        self._broken = False  # by a reset, or because nothing can be sent any more
        self._is_last = False  # the response that came last was to be the last one
        self._parser = h11.Connection(h11.CLIENT)
        self._response: h11.Response | None = None
        self._body = b""

    # --- What it does ----------------------------------------------------------------------------

    def send(self, messages: list[Message], but: int = 0, *, bytewise: bool = False) -> None:
        """Send these in one segment, all but so many bytes at its end, which are kept back."""
        for message in messages:
            tag = f"{self._name}-{len(self._sent):05}"
            text = message.text.replace(b"{id}", tag.encode())
            text = text.replace(b"{token}", self._person.token.encode())
            begin = self._out + len(self._kept)
            self._kept += text
            self._sent.append(Sent(message, tag, begin, begin + len(text)))
        most = max(0, len(self._kept) - but)
        self._send(most, 1 if bytewise else most)
        self.receive()

    def drip(self) -> None:
        """Send one more byte, if there is one; take what has come."""
        self._send(min(1, len(self._kept)), 1)
        self.receive()

    def half_close(self) -> None:
        """Send nothing any more."""
        if not self._broken:
            self._kept = b""
            self._shut_down()

    def stop_reading(self) -> None:
        """Take nothing any more: the server's send buffer will be full."""
        self.reads = False

    def close(self, *, reset: bool = False) -> None:
        """End the connection, in order or by a reset."""
        if reset and not self.is_closed:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.connection.close()
        self.is_closed = True

    # --- What it gets ----------------------------------------------------------------------------

    def receive(self) -> None:
        """Take what has come, if it reads, and check it."""
        while self.reads and not self._server_ended:
            try:
                data = self.connection.recv(1_000_000)
            except BlockingIOError:
                return
            except ConnectionError:
                self._server_ended = self._broken = True
                return
            self._server_ended = not data
            self._check(data)

    def settle(self, patience: float) -> None:
        """Return once every request that was sent as a whole has its response.

        A connection that the server ended before that, without saying so in a response, has lost
        requests; unless it is so old that one of the server's deadlines (`patience`, in seconds)
        may have passed.
        """
        self.reads = True
        deadline, answered = 0.0, -1
        while True:
            if self._answered > answered:  # each response may take its time
                deadline, answered = time.monotonic() + self._timeout, self._answered
            if not self._broken:
                self._send(len(self._kept), len(self._kept))
            self.receive()
            if self._is_last or self._server_ended or not self._waiting():
                break
            assert time.monotonic() < deadline, f"no response to {self._waiting()[0]}"
            select.select([self.connection], [], [], 0.05)
        if self._server_ended and not self._is_last and time.monotonic() - self._begun < patience:
            assert not self._waiting(), f"connection lost before a response to {self._waiting()[0]}"
            assert self._response is None, "connection lost within a response"

    def _waiting(self) -> list[Sent]:
        """The requests that were sent as a whole, and have no response yet."""
        return [sent for sent in self._sent[self._answered :] if sent.end <= self._out]

    # --- Ourselves -------------------------------------------------------------------------------

    def _send(self, most: int, piece: int) -> None:
        """Send at most so many of the bytes that were kept back, a piece at a time."""
        count = 0
        try:
            while count < most:
                count += self.connection.send(self._kept[count : min(most, count + piece)])
        except BlockingIOError:
            pass  # the server does not take them: they are kept back
        except OSError:
            self._broken = True  # it has hung up, or we have
        self._out += count
        self._kept = self._kept[count:]

    def _shut_down(self) -> None:
        try:
            self.connection.shutdown(socket.SHUT_WR)
        except OSError:
            self._broken = True

    def _check(self, data: bytes) -> None:
        """Parse responses. Raises AssertionError, and h11's RemoteProtocolError."""
        if self._is_last:
            assert not data, f"after the last response came {data[:100]!r}"
            return
        self._parser.receive_data(data)
        while data and not self._is_last:
            if self._parser.our_state is h11.IDLE and self._parser.trailing_data[0]:
                self._expect_response(self._parser.trailing_data[0])
            event: Any = self._parser.next_event()
            match event:
                case h11.Response():
                    self._response = event
                case h11.Data():
                    self._body += bytes(event.data)
                case h11.InformationalResponse():
                    assert self._sent[self._answered].message.interim, "a 100 that nobody waits for"
                case h11.EndOfMessage():
                    self._response_ended()
                case _:
                    return

    def _expect_response(self, data: bytes) -> None:
        """Tell the parser for which method the next response is."""
        assert self._answered < len(self._sent), f"a response to nothing: {data[:100]!r}"
        sent = self._sent[self._answered]
        assert sent.begin < self._out, f"a response before its request: {data[:100]!r}"
        self._parser.send(
            h11.Request(method=sent.message.method, target="/", headers=[("host", HOST)])
        )
        self._parser.send(h11.EndOfMessage())

    def _response_ended(self) -> None:
        sent, response = self._sent[self._answered], self._response
        assert response is not None
        self._answered += 1
        status, headers = response.status_code, dict(response.headers)
        is_whole = sent.end <= self._out
        allowed = sent.message.statuses | (frozenset() if is_whole else UNFINISHED)
        assert status in allowed, f"{status} for {sent}: {self._body[:200]!r}"
        if status not in UNFINISHED:
            assert headers[b"x-request-id"] == sent.id.encode(), f"out of order: {response}"
        if status == 200 and sent.message.own and sent.message.method == "GET":
            assert self._body == self._person.profile
        self._is_last = headers.get(b"connection") == b"close"
        assert self._is_last or not sent.message.final, f"not the last response: {sent}"
        if self._is_last:
            assert not self._parser.trailing_data[0], "bytes after the last response"
        else:
            self._parser.start_next_cycle()
        self._response, self._body = None, b""
