"""Backpressure of one connection: pauses reading, and bounds what is buffered for its client."""

import asyncio
import math

from api.http_server.server_state import ServerState

_WRITE_BUFFER_BYTES = 64 * 1024  # above that the next request waits


class FlowControl:
    """What is buffered on a transport and for it. `writing_paused` is set by the connection.

    `unsent` are the bytes in the transport's buffer, as of the last update; `buffered` is this
    connection's part of the server's buffered bytes.
    """

    def __init__(self, transport: asyncio.Transport, server: ServerState) -> None:
        transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        self.writing_paused = self.reading_paused = False
        self.unsent = self.buffered = 0
        self._transport = transport
        self._server = server
        self._send_deadline = math.inf

    @property
    def is_stalled(self) -> bool:
        """Whether the client has taken none of its unsent bytes for too long."""
        return self._server.now >= self._send_deadline

    def pause_reading(self) -> None:
        """Receives nothing until `resume_reading`; the kernel stops the client when it is full."""
        if not self.reading_paused:
            self.reading_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Ends the pause, if there is one."""
        if self.reading_paused:
            self.reading_paused = False
            self._transport.resume_reading()

    def update_unsent(self) -> bool:
        """Updates `unsent`, and moves the deadline if the client has taken some bytes.

        Returns whether it has changed.
        """
        before, self.unsent = self.unsent, self._transport.get_write_buffer_size()
        if not 0 < before <= self.unsent:
            self._send_deadline = self._server.now + self._server.timeouts.draining
        return before != self.unsent

    def update_buffered(self, received: int) -> bool:
        """Updates `buffered`: `received` bytes of requests, and what is unsent.

        Returns whether there are more than before, and the process is over its budget.
        """
        added = received + self.unsent - self.buffered
        self.buffered += added
        self._server.buffered_bytes += added
        return added > 0 and self._server.is_out_of_memory

    def release(self) -> None:
        """Counts nothing any more."""
        self._server.buffered_bytes -= self.buffered
        self.buffered = 0
