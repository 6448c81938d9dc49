"""The profile Redis of this process: one connection that comes back by itself."""

import asyncio
import random
import time
from asyncio import AbstractEventLoop, Future, Task
from collections.abc import Callable
from typing import Any

import hiredis
import structlog

from api.counts import on_the_loop as counts
from api.reads.address import Address
from api.reads.link import Link, Unavailable, pack
from api.reads.near import Near
from domain import vouched

log = structlog.get_logger(__name__)

_PAUSE_LEAST, _PAUSE_MOST = 0.02, 0.4  # seconds between two tries; rising, and drawn by lot
_LONG = 1.0  # seconds; a connection that lasted less counts as a failure


class OlderData(Exception):
    """Redis is there, and may have lost what it was told; a relay looks what that is."""


class Redis:
    """One multiplexed connection, made again whenever it is lost.

    Goes in: the address; `patience`, how many seconds a reply may take; `most`, how many may wait
    for one; `near_age`, how many seconds a near copy is trusted (0: there are none). Nothing is
    opened before `start`.

    `near` holds the near copies, while there is a connection on which Redis tells of changes.
    """

    def __init__(
        self,
        address: Address,
        *,
        patience: float = 1.0,
        most: int = 10_000,
        near_age: float = 0.0,
    ) -> None:
        self.near: Near | None = None
        self._near_age = near_age
        self._address = address
        self._patience = patience
        self._most = most
        self._link: Link | None = None
        self._keeper: Task[None] | None = None

    def start(self, loop: AbstractEventLoop) -> None:
        """Have `loop` connect. What is sent from its next turn on waits for that."""
        self._keeper = loop.create_task(self._keep())

    def ask(self, command: bytes, heed: Callable[[Any], None]) -> None:
        """As `Link.ask` does."""
        if self._link is None:
            raise Unavailable
        self._link.ask(command, heed)

    def send(self, *words: bytes | str | int) -> Future[Any]:
        """The reply to a command, once awaited.

        Raises `Unavailable` here or when awaited, `hiredis.ReplyError` when awaited: this command
        was refused, and no other. A command is sent once; nobody sends it again.
        """
        if self._link is None:
            raise Unavailable
        return self._link.send(pack(words))

    async def close(self) -> None:
        """End the connection. Whoever still waits gets `Unavailable`."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
            self._keeper = None

    async def _keep(self) -> None:
        """Hold a connection, for ever.

        The first try after a loss begins at once, and commands wait for it: it is how a restarted
        Redis goes unnoticed. While further tries fail, commands fail too, at once.
        """
        failures = 0
        while True:
            failures = await self._one_link(failures)
            await asyncio.sleep(_pause(failures))

    async def _one_link(self, failures: int) -> int:
        """One connection, from the try to make it to its loss; how many failed in a row now."""
        gone = asyncio.Event()
        link = Link(self._patience, self._most, gone.set)
        self._link = None if failures else link
        try:
            await self._connect(link)
            self._link = link
            counts.add("profile_redis_connected")
            log.info("profile_redis_connected", failures=failures)
            born = time.monotonic()
            self.near = await self._near_copies(link)
            await gone.wait()
            counts.add("profile_redis_lost")
            log.warning("profile_redis_lost")
            return 0 if time.monotonic() - born > _LONG else 1
        except (OSError, Unavailable, OlderData, hiredis.ReplyError) as error:
            counts.add("profile_redis_failed")
            if not failures:
                log.warning("profile_redis_unavailable", error=kind(error))
            # A relay looks several times a second: that is not worth a longer wait each time.
            return 1 if isinstance(error, OlderData) else failures + 1
        finally:
            self._link = self.near = None
            link.drop()

    async def _connect(self, link: Link) -> None:
        async with asyncio.timeout(self._patience):  # its TimeoutError is an OSError
            await self._address.connect(lambda: link)
            said = await link.greet((*self._address.greeting, *vouched.QUESTION))
        *_, info, vouched_for = said
        if not vouched.may_be_believed(vouched.run_of(info), vouched_for):
            raise OlderData
        link.open()

    async def _near_copies(self, link: Link) -> Near | None:
        """Raises `Unavailable`."""
        if not self._near_age:
            return None
        near = Near(link, self._near_age)
        try:
            await near.start()
        except hiredis.ReplyError as error:
            log.warning("near_copies_off", error=kind(error))
            return None
        return near


def _pause(failures: int) -> float:
    """Seconds to wait before the next try; none before the first."""
    if not failures:
        return 0.0
    most = min(_PAUSE_MOST, _PAUSE_LEAST * 2.0 ** min(failures, 10))
    return random.uniform(most / 2, most)  # noqa: S311  # spreads processes, hides nothing


def kind(error: Exception) -> str:
    """What may be logged of an error: its type, and the code word of Redis (LOADING, NOAUTH)."""
    if isinstance(error, hiredis.ReplyError):
        return str(error).partition(" ")[0]
    return type(error).__name__
