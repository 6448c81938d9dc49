"""A request, from its head on, and the way out for its answer."""

import asyncio
from asyncio import Future
from collections.abc import AsyncIterator
from typing import Protocol
from urllib.parse import unquote_to_bytes

import httptools

_KEPT = 64 * 1024  # octets of a body that wait to be taken, before its client must wait


class BodyError(Exception):
    """The rest of the body will not come: the client is gone, or has sent nonsense."""


class Way(Protocol):
    """The connection on which a request came."""

    client: str
    server: tuple[str, int]

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        """Send the answer to the request that is under way."""

    def ask_for_body(self) -> None:
        """Tell the client to go on (RFC 9110 section 15.2.1)."""

    def hold(self, yes: bool) -> None:
        """Have the client wait with what it sends next, or not any longer."""


class Request:
    """A request whose head has come.

    `method` and `target` are as they were sent; `headers` has names in lower case, and values that
    came more than once joined by a comma (RFC 9110 section 5.3). `client` is the address at the
    other end, `server` the address and port at ours. `is_whole` tells whether the body has come.
    """

    __slots__ = (
        "_failed",
        "_kept",
        "_news",
        "_parts",
        "_way",
        "headers",
        "is_answered",
        "is_last",
        "is_whole",
        "method",
        "target",
    )
    scheme = "http"  # TLS ends in front of us

    def __init__(self, way: Way, method: str, target: bytes, headers: dict[str, str]) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.is_whole = (
            headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        )
        self.is_answered = False
        self.is_last = False  # on its connection
        self._way = way
        self._parts: list[bytes] = []
        self._kept = 0
        self._failed = False
        self._news: Future[None] | None = None

    @property
    def client(self) -> str:
        """The address at the other end; empty for a unix socket."""
        return self._way.client

    @property
    def server(self) -> tuple[str, int]:
        """Our own address and port."""
        return self._way.server

    @property
    def path(self) -> bytes:
        """The path, decoded; empty for a target that has none, such as `*`."""
        path = self.target.partition(b"?")[0]
        if not path.startswith(b"/"):
            path = _path_of(self.target)
        return unquote_to_bytes(path)

    @property
    def query(self) -> bytes:
        """What stands behind the first `?`, as it was sent."""
        return self.target.partition(b"?")[2]

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        """The whole answer, once: `head` are lines of headers, each with its end.

        How long the body is, the server says itself. It sends the body only where the protocol has
        one: not for HEAD and 304. Nothing happens if the client is gone.
        """
        if self.is_answered:
            raise RuntimeError("a request is answered once")
        self.is_answered = True
        self._way.answer(status, head, body)

    async def body(self) -> AsyncIterator[bytes]:
        """The body in the parts that it comes in. Raises `BodyError`."""
        if not self.is_whole and self.headers.get("expect", "").lower() == "100-continue":
            self._way.ask_for_body()
        while True:
            parts, self._parts = self._parts, []
            if self._kept >= _KEPT:
                self._way.hold(False)
            self._kept = 0
            for part in parts:
                yield part
            if self._failed:
                raise BodyError
            if not self._parts:
                if self.is_whole:
                    return
                self._news = asyncio.get_running_loop().create_future()
                await self._news

    def came(self, part: bytes) -> None:
        """A part of the body."""
        self._parts.append(part)
        self._kept += len(part)
        if self._kept >= _KEPT:
            self._way.hold(True)
        self._tell()

    def ended(self, *, failed: bool = False) -> None:
        """The body is whole, or no more of it will come."""
        self.is_whole = not failed
        self._failed = failed
        self._tell()

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


def _path_of(target: bytes) -> bytes:
    """The path of a target that is a whole URL, as for a proxy (RFC 9112 section 3.2.2)."""
    try:
        return httptools.parse_url(target).path or b""
    except httptools.HttpParserInvalidURLError:
        return b""
