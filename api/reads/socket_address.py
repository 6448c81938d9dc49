"""Where a server listens: a unix socket, or host and port, with TLS or without."""

import asyncio
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
