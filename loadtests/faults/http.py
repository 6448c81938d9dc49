"""A small HTTP/1.1 client on asyncio."""

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from loadtests.http_client import Origin, complete_response

_TIMEOUT = 20.0  # seconds for a response; the service has given up before
type _Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class HttpClient:
    """Reads use kept-alive connections; each write has one of its own, which no server closes as
    idle at the instant in which it is sent.
    """

    def __init__(self, url: str) -> None:
        self._origin = Origin.parse(url)
        self._idle: deque[_Connection] = deque()

    async def get(self, path: str, token: str = "") -> tuple[int, Any]:
        """Returns status and JSON of a read. Raises `OSError`, also for a timeout.

        Like all clients it repeats a read if a kept-alive connection was closed before an answer.
        """
        request = self._render("GET", path, token, b"", {})
        while self._idle:
            connection = self._idle.pop()
            with suppress(ConnectionError):
                return await self._exchange(connection, request, keep=True)
        return await self._exchange(await self._connect(), request, keep=True)

    async def send(
        self, method: str, path: str, token: str, body: Any, headers: Mapping[str, str]
    ) -> tuple[int, Any]:
        """Returns status and JSON of a write. Raises `OSError`, also for a timeout."""
        content = b"" if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **headers, "Connection": "close"}
        request = self._render(method, path, token, content, headers)
        return await self._exchange(await self._connect(), request, keep=False)

    def close(self) -> None:
        """Closes the kept-alive connections."""
        while self._idle:
            self._idle.pop()[1].close()

    async def _connect(self) -> _Connection:
        async with asyncio.timeout(_TIMEOUT):
            return await asyncio.open_connection(self._origin.host, self._origin.port)

    def _render(
        self, method: str, path: str, token: str, content: bytes, headers: Mapping[str, str]
    ) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._origin.host_header}"]
        lines += [f"Authorization: Bearer {token}"] if token else []
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Content-Length: {len(content)}"] if method != "GET" else []
        return "\r\n".join([*lines, "", ""]).encode() + content

    async def _exchange(
        self, connection: _Connection, request: bytes, *, keep: bool
    ) -> tuple[int, Any]:
        reader, writer = connection
        is_kept = False
        try:
            async with asyncio.timeout(_TIMEOUT):
                writer.write(request)
                received = b""
                while (response := complete_response(received)) is None:
                    data = await reader.read(1 << 16)
                    if not data:
                        raise ConnectionResetError("closed within a response")
                    received += data
            head, body = response
            is_kept = keep and b"\r\nconnection: close" not in head.lower()
            return int(head[9:12]), _parse(body)
        finally:
            if is_kept:
                self._idle.append(connection)
            else:
                writer.close()


def _parse(body: bytes) -> Any:
    with suppress(ValueError):
        return json.loads(body)
    return None
