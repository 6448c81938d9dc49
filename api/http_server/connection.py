"""One client connection: parses requests, dispatches one at a time, sends responses in order."""

import asyncio
import math
from collections.abc import Callable
from http import HTTPStatus
from time import perf_counter
from typing import cast, override

from api.http_server.connection_state import ConnectionState
from api.http_server.interfaces import ServerInterface
from api.http_server.parser import (
    MAX_HEAD_BYTES,
    BadRequest,
    ChunkedDecoder,
    Head,
    may_be_head,
    parse_head,
)
from api.http_server.request import Request

_NO_BYTES = memoryview(b"")
_MAX_WRITE_BYTES = 64 * 1024  # of a response in one turn
_MAX_REQUESTS_PER_TURN = 16  # of one connection, before others have their turn
_STATUS_LINES = {s.value: b"HTTP/1.1 %d %b\r\n" % (s, s.phrase.encode()) for s in HTTPStatus}


class Connection(asyncio.Protocol):
    """One connection. Pipelined requests wait in its buffer until the response before is sent."""

    def __init__(self, server: ServerInterface) -> None:
        self.client = ""
        self.state = ConnectionState.IDLE
        self.deadline = math.inf
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._position = 0  # of the first byte in it that is not parsed yet
        self._request: Request | None = None
        self._body: list[bytes] = []
        self._body_size = self._max_body = 0
        self._decoder: ChunkedDecoder | None = None
        self._on_body: Callable[[Request], None] | None = None
        self._received_at = 0.0
        self._parsing = False
        self._eof_received = False
        self._has_leftover = False  # bytes behind a chunked body
        self._writing_paused = False
        self._reading_paused = False
        self._unsent_body = _NO_BYTES  # of a large response
        self._closes_after_sending = self._request_is_unread = False
        self._unsent = 0  # bytes in the transport's buffer, at the last check
        self._send_deadline = math.inf
        self._held = 0  # our part of the server's buffered bytes

    # --- Callbacks of the event loop -------------------------------------------------------------

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        self._transport.set_write_buffer_limits(high=_MAX_WRITE_BYTES)
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self.client = peer[0]
        self._server.connections.add(self)
        self._enter(ConnectionState.IDLE)

    @override
    def data_received(self, data: bytes) -> None:
        state = self.state
        if state >= ConnectionState.LINGERING:
            return
        if state == ConnectionState.IDLE:
            self._received_at = perf_counter()
            if not self._buffer and (head := self._server.head_cache.find(data)) is not None:
                self._dispatch(head)
                return
        self._buffer = self._buffer[self._position :] + data if self._buffer else data
        self._position = 0
        if state <= ConnectionState.BODY:
            self._parse()
        else:
            self._pause_reading()
            self._hold(len(data))

    @override
    def eof_received(self) -> bool:
        """Keeps the connection of a client that has half-closed it until it has its responses."""
        self._eof_received = True
        if self.state == ConnectionState.LINGERING:
            return False
        if self._request is not None and self._request.on_disconnect is not None:
            self._close()  # most likely gone, and what it asked for has not begun
        if not self._parsing:
            self._after_parsing()
        return self.state != ConnectionState.CLOSED

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._enter(ConnectionState.CLOSED)
        self._server.connections.discard(self)
        self._buffer, self._unsent_body = b"", _NO_BYTES
        self._release()
        self._abandon_request()

    @override
    def pause_writing(self) -> None:
        self._writing_paused = True

    @override
    def resume_writing(self) -> None:
        self._writing_paused = False
        if self._unsent_body:
            self._send_more()
        elif self.state == ConnectionState.DRAINING:
            self._next_request()
        elif self.state == ConnectionState.LINGERING:
            self._enter(ConnectionState.LINGERING)

    # --- Methods for requests --------------------------------------------------------------------

    def respond(self, request: Request, status: int, headers: bytes, body: bytes) -> None:
        """Sends the response to the current request; does nothing if the client is gone."""
        if request is not self._request or self._transport is None:
            return
        self._request = None
        is_unread = self.state != ConnectionState.ACTIVE  # the request, in part
        close = request.close_connection or is_unread or self._should_close()
        parts = [_STATUS_LINES[status], self._server.date_header, headers]
        if status != HTTPStatus.NO_CONTENT and b"content-length: " not in headers:
            parts.append(b"content-length: %d\r\n" % len(body))
        parts.append(b"connection: close\r\n\r\n" if close else b"\r\n")
        if request.method == "HEAD" or status in (204, 304):
            body = b""
        elif len(body) <= _MAX_WRITE_BYTES:
            parts.append(body)
        self._transport.write(b"".join(parts))
        self._closes_after_sending = close
        self._request_is_unread = is_unread
        if len(body) > _MAX_WRITE_BYTES:
            self._enter(ConnectionState.DRAINING)
            self._unsent_body = memoryview(body)
            self._hold(len(body))
            self._send_more()
        else:
            self._on_written()

    def _send_more(self) -> None:
        """Sends the next part of a large body; other connections have their turn in between."""
        if self._writing_paused or self._transport is None or not self._unsent_body:
            return
        part, rest = self._unsent_body[:_MAX_WRITE_BYTES], self._unsent_body[_MAX_WRITE_BYTES:]
        self._unsent_body = rest if rest else _NO_BYTES  # an empty slice would keep the body
        self.deadline = self._server.now + self._server.timeouts.draining
        self._transport.write(part)
        if not rest:
            self._on_written()
        elif not self._writing_paused:
            self._loop.call_soon(self._send_more)

    def _on_written(self) -> None:
        """Goes on after a response: the transport has all of it, but may have to wait."""
        if self._closes_after_sending:
            is_unread = self._request_is_unread or self._has_leftover
            self._close(linger=is_unread or self._position < len(self._buffer))
        elif self._writing_paused:
            self._enter(ConnectionState.DRAINING)
        else:
            self._next_request()

    def read_body(
        self, request: Request, max_bytes: int, on_body: Callable[[Request], None]
    ) -> None:
        """Reads the body of the current request, then calls `on_body`."""
        if request is not self._request or self._transport is None:
            return
        self._max_body, self._on_body = max_bytes, on_body
        if (request.content_length or 0) > max_bytes:
            self._reject("body_too_large")
            return
        self._decoder = ChunkedDecoder() if request.content_length is None else None
        self._enter(ConnectionState.BODY)
        if not self._parsing:
            self._parse()

    # --- Methods for the server ------------------------------------------------------------------

    def start_graceful_shutdown(self) -> None:
        """Shortens the wait for a next request."""
        if self.state == ConnectionState.IDLE:
            self._enter(ConnectionState.IDLE)

    def check_deadline(self) -> int:
        """Ends the connection if it has been in its state for too long; returns its unsent bytes.

        While there are any, what counts is that the client takes some of them from time to time.
        """
        if self._transport is None:
            return 0
        now, unsent = self._server.now, self._transport.get_write_buffer_size()
        if unsent:
            if not 0 < self._unsent <= unsent:
                self._send_deadline = now + self._server.timeouts.draining
            if now >= self._send_deadline or self._server.is_out_of_memory:
                self._transport.abort()
        elif now < self.deadline:
            pass
        elif self.state == ConnectionState.IDLE:
            self._close()
        elif self.state in (ConnectionState.HEAD, ConnectionState.BODY):
            self._reject("request_timeout")
        else:
            self._transport.abort()
        self._unsent = unsent
        return unsent

    # --- Parsing ---------------------------------------------------------------------------------

    def _parse(self) -> None:
        """Dispatches the requests in the buffer, one after the other."""
        self._parsing = True
        count = 0
        try:
            while self.state <= ConnectionState.BODY and self._position < len(self._buffer):
                if self.state == ConnectionState.BODY:
                    if not self._parse_body():
                        break
                elif count >= _MAX_REQUESTS_PER_TURN:
                    self._loop.call_soon(self._resume_parsing)
                    self._pause_reading()
                    break
                elif not self._parse_head():
                    break
                count += 1
        except BadRequest:
            self._reject("bad_request")
        finally:
            self._parsing = False
        if self._position >= len(self._buffer):
            self._buffer, self._position = b"", 0
        self._after_parsing()

    def _resume_parsing(self) -> None:
        if self.state <= ConnectionState.BODY and not self._parsing:
            self._parse()

    def _after_parsing(self) -> None:
        """Resumes reading, or ends the connection of a client that has sent all it had."""
        if self.state > ConnectionState.BODY:
            if self._buffer and not self._held:
                self._hold(len(self._buffer) - self._position)
            return
        waits_for_turn = self._buffer and self.state == ConnectionState.IDLE
        if self._eof_received and not waits_for_turn:
            self._close()
        elif not waits_for_turn:
            self._resume_reading()

    def _parse_head(self) -> bool:
        """Dispatches the next request; returns whether its header section is complete."""
        buffer, start = self._buffer, self._position
        if buffer.startswith(b"\r\n", start):  # RFC 9112 section 2.2
            start = self._position = start + 2
        end = buffer.find(b"\r\n\r\n", start)
        if end < 0 or end - start > MAX_HEAD_BYTES:
            if len(buffer) - start > MAX_HEAD_BYTES or not may_be_head(buffer, start):
                raise BadRequest
            if self.state == ConnectionState.IDLE and start < len(buffer):
                self._enter(ConnectionState.HEAD)
            return False
        self._position = end + 4
        data = buffer[start : self._position]
        head = parse_head(data)
        self._server.head_cache.add(data, head)
        self._dispatch(head)
        return True

    def _dispatch(self, head: Head) -> None:
        request = self._request = Request(
            self,
            head.method,
            head.target,
            head.headers,
            content_length=head.content_length,
            close_connection=head.close_connection,
            received_at=self._received_at,
        )
        has_body = head.content_length != 0
        self._enter(ConnectionState.BODY if has_body else ConnectionState.ACTIVE)
        self._server.application.handle(request)
        reads_body = self.state == ConnectionState.BODY and request is self._request
        if reads_body and head.expects_continue and self._position == len(self._buffer):
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _parse_body(self) -> bool:
        """Takes what the buffer has of the body; returns whether the body is complete."""
        request = self._request
        if request is None:
            raise AssertionError("a body without a request")
        if self._decoder is not None:
            parts = self._decoder.feed_data(self._buffer[self._position :])
            self._position = len(self._buffer)
            is_complete = self._decoder.is_complete
            if self._decoder.has_leftover:  # it is not parsed, and more may follow
                request.close_connection = self._has_leftover = True
        else:
            end = self._position + (request.content_length or 0) - self._body_size
            parts = [self._buffer[self._position : end]]
            self._position = min(end, len(self._buffer))
            is_complete = end <= len(self._buffer)
        size = sum(map(len, parts))
        self._body += parts
        self._body_size += size
        self._hold(size)
        if self._body_size > self._max_body:
            self._reject("body_too_large")
        elif is_complete and self.state == ConnectionState.BODY:
            self._finish_body(request)
        return is_complete

    def _finish_body(self, request: Request) -> None:
        request.body = b"".join(self._body)
        on_body, self._on_body = self._on_body, None
        self._body.clear()
        self._body_size, self._decoder = 0, None
        self._enter(ConnectionState.ACTIVE)
        if on_body is not None:
            on_body(request)

    # --- State -----------------------------------------------------------------------------------

    def _enter(self, state: ConnectionState) -> None:
        self.state = state
        timeout = self._server.timeouts[state]
        if state == ConnectionState.IDLE and self._server.shutting_down:
            timeout = min(timeout, 1.0)  # for a request that may be under way already
        self.deadline = self._server.now + timeout

    def _next_request(self) -> None:
        self._enter(ConnectionState.IDLE)
        if self._held:
            self._release()
        if self._parsing:
            return  # the loop in `_parse` goes on
        if self._buffer:
            self._received_at = perf_counter()
            self._hold(len(self._buffer) - self._position)
            self._parse()
        elif self._eof_received or self._reading_paused:
            self._after_parsing()

    def _should_close(self) -> bool:
        """Returns whether this process exits, and the client has no request under way."""
        return self._server.shutting_down and self._position >= len(self._buffer)

    def _reject(self, code: str) -> None:
        """Sends an error response to what is not, or not yet, a complete request, and closes."""
        if self.state >= ConnectionState.LINGERING:
            return
        request = self._request or Request(self, "", b"", {})
        self._abandon_request()
        self._request = request
        request.close_connection = request.responded = True
        status, headers, body = self._server.application.error_response(
            code, request if request.method else None
        )
        self.respond(request, status, headers, body)

    def _abandon_request(self) -> None:
        """Tells the application that the current request needs no response any more."""
        request, self._request = self._request, None
        self._body.clear()
        self._body_size, self._on_body, self._decoder = 0, None, None
        if request is not None and request.on_disconnect is not None:
            on_disconnect, request.on_disconnect = request.on_disconnect, None
            on_disconnect()

    def _close(self, *, linger: bool = False) -> None:
        """Closes the connection once what was written is sent.

        Unread bytes would make the kernel reset the connection, and the client might lose the
        response (RFC 9112 section 9.6): with `linger` they are read and discarded for a while.
        """
        if self._transport is None:
            return
        self._enter(ConnectionState.LINGERING)
        self._buffer, self._position = b"", 0
        if linger and not self._eof_received:
            self._resume_reading()
            self._transport.write_eof()
        else:
            self._transport.close()

    # --- Flow control ----------------------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _pause_reading(self) -> None:
        if self._transport is not None and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._transport is not None and self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()

    def _hold(self, size: int) -> None:
        """Counts buffered bytes; over the budget of the process the connection is aborted."""
        self._held += size
        self._server.buffered_bytes += size
        if self._server.is_out_of_memory:
            if self.state == ConnectionState.BODY and self._request is not None:
                self._reject("overloaded")
            elif self._transport is not None:
                self._transport.abort()

    def _release(self) -> None:
        self._server.buffered_bytes -= self._held
        self._held = 0
