"""Finds the primary of the profile Redis: a fixed address, or the one that Redis Sentinel names."""

import asyncio
from collections import Counter
from typing import Protocol

from api.reads.redis.connection import RedisUnavailable
from api.reads.redis.query import query
from api.reads.socket_address import SocketAddress
from domain.redis_url import SENTINEL, RedisUrl

_TIMEOUT = 0.5  # seconds for a Sentinel to be connected and to reply


class Locator(Protocol):
    """Finds the primary, and notices when it is another."""

    async def find_primary(self) -> SocketAddress:
        """Returns the address of the primary. Raises `RedisUnavailable` if none is known."""

    async def has_moved(self, address: SocketAddress) -> bool:
        """Returns whether the primary is known to be elsewhere now; False while nothing is."""


def make_locator(url: RedisUrl) -> Locator:
    """Returns what finds the primary that `url` names."""
    return Sentinels(url) if url.topology == SENTINEL else FixedAddress(url)


class FixedAddress:
    """A server that the URL names."""

    def __init__(self, url: RedisUrl) -> None:
        host, port = url.hosts[0] if url.hosts else ("", 0)
        self._address = SocketAddress(url.path, host, port, url.ssl_context)

    async def find_primary(self) -> SocketAddress:
        return self._address

    async def has_moved(self, address: SocketAddress) -> bool:
        return False


class Sentinels:
    """The Sentinels of a replicated server: they agree on which one is the primary.

    One that was cut off or suspended for a while names the old primary: so what most of them name
    counts.
    """

    def __init__(self, url: RedisUrl) -> None:
        self._ssl_context = url.ssl_context
        self._sentinels = [SocketAddress("", *host, url.ssl_context) for host in url.hosts]
        question = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", url.service_name)
        self._last: SocketAddress | None = None
        self._commands = [*url.sentinel_credentials.auth_command(), question]

    async def find_primary(self) -> SocketAddress:
        """Asks all Sentinels at once; returns what a majority of them names, or without one, after
        the timeout, what most name; the last one while none replies.
        """
        votes: Counter[SocketAddress] = Counter()
        questions = [asyncio.ensure_future(self._ask(sentinel)) for sentinel in self._sentinels]
        try:
            for question in asyncio.as_completed(questions):
                if answer := await question:
                    votes[answer] += 1
                    if votes[answer] > len(questions) // 2:
                        break
        finally:
            for each in questions:
                each.cancel()
        if votes:
            self._last = votes.most_common(1)[0][0]
        elif self._last is None:
            raise RedisUnavailable
        return self._last

    async def has_moved(self, address: SocketAddress) -> bool:
        return await self.find_primary() != address

    async def _ask(self, sentinel: SocketAddress) -> SocketAddress | None:
        """Returns the primary that a Sentinel names; None without a usable reply."""
        replies = await query(sentinel, self._commands, _TIMEOUT) or [None]
        match replies[-1]:
            case [bytes(host), bytes(port)]:
                return SocketAddress("", host.decode(), int(port), self._ssl_context)
            case _:
                return None  # it does not know that service
