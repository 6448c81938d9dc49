"""RSGI, the interface between granian and the front door, as far as it is used here.

granian leaves out header values that are not visible ASCII; for us they are not there.
"""

from collections.abc import AsyncIterator
from typing import Protocol


class Headers(Protocol):
    """A request's headers; names are in lower case."""

    def get(self, key: str, default: str | None = None, /) -> str | None:
        """One value of a header."""

    def get_all(self, key: str, /) -> list[str]:
        """Every value of a header."""

    def items(self) -> list[tuple[str, str]]:
        """All there are."""


class Scope(Protocol):
    """What is told of a request. `path` is decoded; `client` and `server` are host:port."""

    method: str
    path: str
    query_string: str
    http_version: str
    client: str
    server: str
    scheme: str

    @property
    def headers(self) -> Headers:
        """The request's headers."""


class Exchange(Protocol):
    """The way in for a request's body, and out for its answer."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes, /) -> None:
        """The whole answer. Nothing happens if the client is gone."""


def joined(headers: Headers, name: str) -> str:
    """All values of a header as one (RFC 9110 section 5.3); empty if there is none."""
    values = headers.get_all(name)
    return values[0] if len(values) == 1 else ",".join(values)
