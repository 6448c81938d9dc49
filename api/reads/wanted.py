"""Profiles that are missing, or older than a token: asked for once, and awaited for a moment."""

import asyncio
from asyncio import Task
from contextlib import suppress
from uuid import UUID

import hiredis

from api.counts import on_the_loop as counts
from api.reads.connection import Redis
from api.reads.link import Unavailable
from domain import profile
from domain.session import Token

_LOOK_FIRST, _LOOK_MOST = 0.005, 0.05  # seconds between two looks; each next one is twice as long


class Wanted:
    """What the readers of this process wait for.

    Goes in: the connection; `patience`, how many seconds somebody's profile is waited for.
    """

    def __init__(self, redis: Redis, patience: float) -> None:
        self._redis = redis
        self._patience = patience
        self._versions: dict[UUID, int] = {}  # what the waiting readers need at least
        self._searches: dict[UUID, Task[None]] = {}

    async def wait(self, token: Token) -> None:
        """Return when the profile is as new as the token needs it, or patience is at its end.

        However many wait for a person, Redis is asked once for them. What goes wrong meanwhile
        only ends the wait: whoever looks again meets it too.
        """
        counts.add("profile_missing")
        person = token.person_id
        self._versions[person] = max(token.version, self._versions.get(person, 0))
        search = self._searches.get(person)
        if search is None:
            search = asyncio.get_running_loop().create_task(self._search(person))
            self._searches[person] = search
        # Shielded: a reader that hangs up must not take it from the others.
        await asyncio.shield(search)

    async def _search(self, person: UUID) -> None:
        counts.add("profile_wanted")
        try:
            with suppress(Unavailable, hiredis.ReplyError):
                await self._redis.send("ZINCRBY", profile.WANTED, 1, person.hex)
                await self._look_until_there(person)
        finally:
            del self._searches[person], self._versions[person]

    async def _look_until_there(self, person: UUID) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        pause = _LOOK_FIRST
        while (left := deadline - loop.time()) > 0:
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, _LOOK_MOST)
            version = await self._redis.send("HGET", profile.key_of(person), profile.VERSION)
            if version is not None and int(version) >= self._versions[person]:
                return
