"""A server for the load generators."""

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from local.processes import Process
from local.tcp_ports import HOST, find_free_port
from tests.support.client import wait_until

# Sends the n-th response of a table to request n, the last one to all further requests.
SERVER = """
import asyncio, sys
responses, count = eval(sys.argv[2]), 0
async def serve(reader, writer):
    global count
    while head := await reader.readuntil(b"\\r\\n\\r\\n"):
        length = [l for l in head.lower().split(b"\\r\\n") if l.startswith(b"content-length:")]
        await reader.readexactly(int(length[0].split(b":")[1]) if length else 0)
        seconds, status, line, close = responses[min(count, len(responses) - 1)]
        count += 1
        await asyncio.sleep(seconds)
        writer.write(f"HTTP/1.1 {status} x\\r\\n{line}content-length: 2\\r\\n\\r\\nno".encode())
        if close:
            return writer.close()
async def main():
    await (await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))).serve_forever()
asyncio.run(main())
"""
type StartServer = Callable[..., int]


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Starts a server that sends the given responses; returns its port."""
    servers = []

    def start(*responses: tuple[float, int, str, bool]) -> int:
        port = find_free_port()
        argv = [sys.executable, "-c", SERVER, str(port), repr(responses)]
        servers.append(Process("server", argv, tmp_path / "server.log"))
        servers[-1].start()
        wait_until(lambda: is_listening(port))
        return port

    yield start
    for server in servers:
        server.stop()


def is_listening(port: int) -> bool:
    with suppress(ConnectionRefusedError), socket.create_connection((HOST, port), timeout=5):
        return True
    return False
