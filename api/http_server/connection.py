"""One client connection: dispatches its requests one at a time, and sends responses in order."""

import asyncio
import math
from time import perf_counter
from typing import cast, override

from api.http_server.connection_state import ConnectionState
from api.http_server.flow_control import FlowControl
from api.http_server.parser import BadRequest
from api.http_server.request import Request
from api.http_server.request_body import BodyTooLarge, RequestBody
from api.http_server.request_reader import RequestReader
from api.http_server.response_encoding import encode_response
from api.http_server.server_state import ServerState

_MAX_REQUESTS_PER_TURN = 16  # of one connection, before others have their turn


class Connection(asyncio.Protocol):
    """One connection. Pipelined requests are not read until the response before is sent."""

    _transport: asyncio.Transport  # this and `_flow` exist since `connection_made`
    _flow: FlowControl

    def __init__(self, server: ServerState) -> None:
        self.client = ""
        self.state = ConnectionState.IDLE
        self.deadline = math.inf
        self._server = server
        self._reader = RequestReader(server.head_cache)
        self._request: Request | None = None  # the one that has no response yet
        self._received_at = 0.0
        self._parsing = self._eof_received = False

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        self._flow = FlowControl(self._transport, self._server)
        peer = transport.get_extra_info("peername")
        self.client = peer[0] if isinstance(peer, tuple) else ""
        self._server.connections.add(self)
        self._enter(ConnectionState.IDLE)

    @override
    def data_received(self, data: bytes) -> None:
        state = self.state
        if state == ConnectionState.IDLE:
            self._received_at = perf_counter()
            if not self._reader.unread and (request := self._server.head_cache.find(data)):
                self._dispatch(request)
                return
        elif state >= ConnectionState.LINGERING:
            return
        self._reader.feed_data(data)
        if state <= ConnectionState.BODY:
            self._parse()
        else:
            self._flow.pause_reading()
            self._count_buffered()

    @override
    def eof_received(self) -> bool:
        """Keeps the connection of a client that has half-closed it until it has its responses."""
        self._eof_received = True
        if self.state == ConnectionState.LINGERING:
            return False
        if self._request is not None and self._request.on_disconnect is not None:
            self._close()  # most likely gone, and what it asked for has not begun
        self._after_parsing()
        return True

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._enter(ConnectionState.CLOSED)
        self._server.connections.discard(self)
        self._abandon_request()
        self._reader.clear()
        self._flow.release()

    @override
    def pause_writing(self) -> None:
        self._flow.writing_paused = True

    @override
    def resume_writing(self) -> None:
        self._flow.writing_paused = False
        if self.state == ConnectionState.DRAINING:
            self._next_request()

    def _enter(self, state: ConnectionState) -> None:
        self.state = state
        self.deadline = self._server.now + self._server.timeouts[state]

    def _dispatch(self, request: Request) -> None:
        self._request = request
        request.connection, request.received_at = self, self._received_at
        has_body = request.content_length != 0 and not request.body
        self._enter(ConnectionState.BODY if has_body else ConnectionState.ACTIVE)
        self._server.application.handle(request)
        if self.state == ConnectionState.BODY:
            if (request.content_length or 0) > request.max_body_bytes:
                self._reject("body_too_large")
                return
            self._reader.body = RequestBody(request)
            if request.expects_continue and not self._reader.unread:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _next_request(self) -> None:
        self._enter(ConnectionState.IDLE)
        if self._parsing:
            return  # the loop in `_parse` goes on
        if self._reader.unread:
            self._received_at = perf_counter()
            self._parse()
        elif self._eof_received or self._flow.buffered or self._flow.reading_paused:
            self._after_parsing()

    def _close(self, *, linger: bool = False) -> None:
        """Closes the connection once what was written is sent.

        Bytes that are unread, or arrive later, would make the kernel reset the connection, and the
        client might lose responses that it has not received yet (RFC 9112 section 9.6): with
        `linger` they are read and discarded until the client closes it, for a while.
        """
        self._enter(ConnectionState.LINGERING)
        self._reader.clear()
        if linger and not self._eof_received:
            self._flow.resume_reading()
            self._transport.write_eof()
        else:
            self._transport.close()

    def check_deadline(self) -> None:
        """Ends the connection if it has been in its state for too long.

        While it has unsent bytes, what counts is that the client takes some from time to time.
        """
        if self._flow.update_unsent():
            self._count_buffered()
        if self._flow.unsent:
            if self._flow.is_stalled or self._server.is_out_of_memory:
                self._transport.abort()
            elif self.state == ConnectionState.LINGERING:
                self._enter(ConnectionState.LINGERING)  # its time starts with the last byte
        elif self._server.now < self.deadline:
            pass
        elif self.state == ConnectionState.IDLE:
            self._close()
        elif self.state in (ConnectionState.HEAD, ConnectionState.BODY):
            self._reject("request_timeout")
        else:
            self._transport.abort()

    def _parse(self) -> None:
        """Dispatches the requests that have arrived, one after the other."""
        self._parsing = True
        count = 0
        try:
            while self.state <= ConnectionState.BODY and self._reader.unread:
                if count >= _MAX_REQUESTS_PER_TURN and self.state == ConnectionState.IDLE:
                    asyncio.get_running_loop().call_soon(self._parse)
                    self._flow.pause_reading()
                    break
                if not self._parse_next():
                    break
                count += 1
        except BadRequest:
            self._reject("bad_request")
        except BodyTooLarge:
            self._reject("body_too_large")
        finally:
            self._parsing = False
        self._after_parsing()

    def _parse_next(self) -> bool:
        """Takes a header section, or what has arrived of a body; returns whether it is complete."""
        if self.state == ConnectionState.BODY:
            body = self._reader.read_body()
            self._count_buffered()
            if body is not None and self.state == ConnectionState.BODY:
                self._enter(ConnectionState.ACTIVE)
                body.finish()
            return body is not None
        request = self._reader.read_head()
        if request is not None:
            self._dispatch(request)
        elif self.state == ConnectionState.IDLE and self._reader.unread:
            self._enter(ConnectionState.HEAD)
        return request is not None

    def _after_parsing(self) -> None:
        """Resumes reading, or ends the connection of a client that has sent all it had."""
        unread = self._reader.unread
        if not unread:
            self._reader.clear()  # frees the memory
        if unread or self._flow.buffered:
            self._count_buffered()
        waits_for_turn = unread and self.state == ConnectionState.IDLE
        if self.state > ConnectionState.BODY or waits_for_turn:
            return
        if self._eof_received:
            self._close()
        else:
            self._flow.resume_reading()

    def _count_buffered(self) -> None:
        """Counts buffered bytes; the connection ends if they take the process over its budget."""
        if self._flow.update_buffered(self._reader.size):
            if self.state == ConnectionState.BODY:
                self._reject("memory_limit")
            else:
                self._transport.abort()

    def respond(self, request: Request, status: int, headers: bytes, body: bytes) -> None:
        """Sends the response to the current request; does nothing if the client is gone."""
        if request is not self._request:
            return
        reader, flow = self._reader, self._flow
        self._request, request_body, reader.body = None, reader.body, None
        is_unread = self.state != ConnectionState.ACTIVE  # the request, in part
        is_unread = is_unread or (request_body is not None and request_body.has_leftover)
        shuts_down = self._server.shutting_down and not reader.unread
        close = request.close_connection or is_unread or shuts_down
        date = self._server.date_header
        response = encode_response(request.method, status, date, headers, body, close=close)
        self._transport.write(response)
        if close:
            self._close(linger=True)
        elif flow.writing_paused:
            self._enter(ConnectionState.DRAINING)
        else:
            self._next_request()
        if flow.writing_paused and flow.update_unsent():
            self._count_buffered()

    def _reject(self, code: str) -> None:
        """Sends an error response to what is not, or not yet, a complete request, and closes."""
        request = self._request or Request("", b"", {})
        self._abandon_request()
        self._request = request
        request.close_connection = True
        self.respond(request, *self._server.application.error_response(code, request))

    def _abandon_request(self) -> None:
        """Notifies the application that the current request needs no response any more."""
        request, self._request, self._reader.body = self._request, None, None
        if request is not None and request.on_disconnect is not None:
            on_disconnect, request.on_disconnect = request.on_disconnect, None
            on_disconnect()
