"""Checks the responses on one connection of a hostile client, byte by byte.

They are parsed by h11, which shares no code with the server's parser.
"""

from dataclasses import dataclass
from math import inf
from typing import Any

import h11

from local.tcp_ports import HOST
from tests.support.hostile_messages import UNFINISHED, Message


@dataclass(frozen=True)
class Person:
    """The person whose profile a client reads."""

    token: str
    profile: bytes


@dataclass
class Sent:
    """A sent message: its first and last position in the stream, and its id."""

    message: Message
    id: str
    begin: int
    end: int

    def __str__(self) -> str:
        return f"{self.id}: {self.message.text[:80]!r}"


class Responses:
    """The responses to the messages in `sent`, in order.

    `answered` is the number of responses; `final`: the last response announced the end of the
    connection; `incomplete`: a part of a response was received. What comes after `timely_bytes` of
    the stream may come too late.
    """

    def __init__(self, person: Person) -> None:
        self.sent: list[Sent] = []
        self.answered = 0
        self.final = False
        self.timely_bytes: float = inf
        self._person = person
        self._parser = h11.Connection(h11.CLIENT)
        self._response: h11.Response | None = None
        self._body = b""

    @property
    def incomplete(self) -> bool:
        return self._response is not None or bool(self._parser.trailing_data[0])

    def unanswered(self, sent_bytes: int) -> list[Sent]:
        """Returns the completely sent messages without a response."""
        return [sent for sent in self.sent[self.answered :] if sent.end <= sent_bytes]

    def feed(self, data: bytes, sent_bytes: int) -> None:
        """Checks received data, `sent_bytes` having been sent before.

        Raises `AssertionError` for a wrong response, `h11.RemoteProtocolError` for an invalid one.
        """
        if self.final:
            assert not data, f"after the last response came {data[:100]!r}"
            return
        self._parser.receive_data(data)
        while data and not self.final:
            if self._parser.our_state is h11.IDLE and self._parser.trailing_data[0]:
                self._expect_response(self._parser.trailing_data[0], sent_bytes)
            event: Any = self._parser.next_event()
            match event:
                case h11.Response():
                    self._response = event
                case h11.Data():
                    self._body += bytes(event.data)
                case h11.InformationalResponse():
                    assert self.sent[self.answered].message.interim, "an unexpected 100"
                case h11.EndOfMessage():
                    self._check_response(sent_bytes)
                case _:
                    return

    def _expect_response(self, data: bytes, sent_bytes: int) -> None:
        """Has the parser expect the response to the next message."""
        assert self.answered < len(self.sent), f"a response to nothing: {data[:100]!r}"
        sent = self.sent[self.answered]
        assert sent.begin < sent_bytes, f"a response before its request: {data[:100]!r}"
        # Only HEAD matters to the parser; and CONNECT, after which it would parse no more.
        # A 408 has a body: the server does not know the method of a request that is incomplete.
        has_no_body = sent.message.method == "HEAD" and not data.startswith(b"HTTP/1.1 408 ")
        method = "HEAD" if has_no_body else "GET"
        self._parser.send(h11.Request(method=method, target="/", headers=[("host", HOST)]))
        self._parser.send(h11.EndOfMessage())

    def _check_response(self, sent_bytes: int) -> None:
        sent, response = self.sent[self.answered], self._response
        assert response is not None
        self.answered += 1
        status, headers, message = response.status_code, dict(response.headers), sent.message
        is_complete = sent.end <= min(sent_bytes, self.timely_bytes)
        allowed = message.statuses if is_complete else message.statuses | UNFINISHED
        assert status in allowed, f"{status} for {sent}, {self._body[:200]!r}"
        if b"{id}" in message.text and status not in UNFINISHED:
            assert headers[b"x-request-id"] == sent.id.encode(), f"out of order: {response}"
        if status == 200 and message.own and message.method == "GET":
            assert self._body == self._person.profile, "another person's profile"
        self.final = headers.get(b"connection") == b"close"
        assert self.final or not message.final, f"not the last response: {status} for {sent}"
        if self.final:
            rest = self._parser.trailing_data[0]
            assert not rest, f"after the last response came {rest[:100]!r}"
        else:
            self._parser.start_next_cycle()
        self._response, self._body = None, b""
