"""Where a server listens: a unix socket, or host and port, with TLS or without."""

import asyncio
import re
import ssl
from collections.abc import Callable
from typing import NamedTuple


class SocketAddress(NamedTuple):
    """The path of a unix socket, or host and port if that is empty."""

    path: str = ""
    host: str = ""
    port: int = 0
    ssl_context: ssl.SSLContext | None = None

    async def connect[P: asyncio.Protocol](
        self, protocol: Callable[[], P]
    ) -> tuple[asyncio.Transport, P]:
        """Opens a connection. Raises `OSError`, which TLS errors are too."""
        loop = asyncio.get_running_loop()
        if self.path:
            return await loop.create_unix_connection(protocol, self.path)
        return await loop.create_connection(protocol, self.host, self.port, ssl=self.ssl_context)


def parse_upstream(text: str) -> SocketAddress:
    """Parses unix:/path or host:port. Raises `ValueError`, which names the setting."""
    if text.startswith("unix:/"):
        return SocketAddress(path=text.removeprefix("unix:"))
    match = re.fullmatch(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})", text)
    if not match or not 0 < int(match[2]) < 65536:
        raise ValueError("WRITE_UPSTREAM must be unix:/path or host:port")
    return SocketAddress(host=match[1].strip("[]"), port=int(match[2]))
