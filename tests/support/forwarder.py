"""A fixed address in front of changing servers, like a virtual IP."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from local.tcp_ports import HOST


class Forwarder:
    """A TCP proxy to the port `target`. Open connections keep their server when it changes."""

    def __init__(self, target: int) -> None:
        self.target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, HOST, 0))
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for each in connections:
            each.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):
            server_reader, server_writer = await asyncio.open_connection(HOST, self.target)
            await asyncio.gather(
                _copy(reader, server_writer, self.on_data), _copy(server_reader, writer)
            )

    def on_data(self, data: bytes) -> None:
        """Called with what clients send, before it is passed on."""


async def _copy(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    on_data: Callable[[bytes], None] = lambda _: None,
) -> None:
    try:
        while data := await reader.read(1 << 16):
            on_data(data)
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
