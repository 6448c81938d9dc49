"""Profiles that are missing, or older than a token: asked for once, and awaited for a moment."""

import asyncio
from asyncio import AbstractEventLoop, Future, Task
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any
from uuid import UUID

from api.counts import on_the_loop as counts
from api.reads.connection import Redis
from api.reads.link import Unavailable, pack
from domain import profile
from domain.session import Token

_PAUSE = 0.005  # seconds between two looks
_AT_ONCE = 64  # people that one look is for; if there are more, they take turns


class _Search:
    """For one person's profile: from which version on it will do, and what is set when it ends."""

    def __init__(self, loop: AbstractEventLoop, person: UUID) -> None:
        self.person = person
        self.version = 0
        self.ended: Future[None] = loop.create_future()
        # A hash without its ETag is not for readers yet.
        self.question = pack(("HMGET", profile.key_of(person), profile.VERSION, profile.ETAG))


class Wanted:
    """What the readers of this process wait for.

    Goes in: the connection; `patience`, how many seconds somebody's profile is waited for.

    One task looks for all: its questions are one write, and the replies one read.
    """

    def __init__(self, redis: Redis, patience: float) -> None:
        self._redis = redis
        self._patience = patience
        self._searches: dict[UUID, _Search] = {}
        self._looking: Task[None] | None = None

    async def wait(self, token: Token) -> None:
        """Return when the profile is as new as the token needs it, or patience is at its end.

        However many wait for a person, Redis is asked once for them. What goes wrong meanwhile
        only ends the wait: whoever looks again meets it too.
        """
        counts.add("profile_missing")
        search = self._searches.get(token.person_id) or self._begin(token.person_id)
        search.version = max(token.version, search.version)
        # Shielded: a reader that hangs up must not take it from the others.
        await asyncio.shield(search.ended)

    def _begin(self, person: UUID) -> _Search:
        counts.add("profile_wanted")
        loop = asyncio.get_running_loop()
        search = self._searches[person] = _Search(loop, person)
        timer = loop.call_later(self._patience, self._end, search)
        search.ended.add_done_callback(lambda _: timer.cancel())
        self._ask(search, pack(("ZINCRBY", profile.WANTED, 1, person.hex)), self._heed_refusal)
        if self._looking is None or self._looking.done():
            self._looking = loop.create_task(self._look())
        return search

    async def _look(self) -> None:
        while self._searches:
            await asyncio.sleep(_PAUSE)
            for person in list(islice(self._searches, _AT_ONCE)):
                search = self._searches[person] = self._searches.pop(person)  # now it is the last
                self._ask(search, search.question, self._heed)

    def _ask(self, search: _Search, question: bytes, heed: Callable[[_Search, Any], None]) -> None:
        try:
            self._redis.ask(question, partial(heed, search))
        except Unavailable:
            self._end(search)

    def _heed(self, search: _Search, reply: Any) -> None:
        self._heed_refusal(search, reply)
        match reply:
            case [bytes(version), bytes()] if version.isdigit() and int(version) >= search.version:
                self._end(search)

    def _heed_refusal(self, search: _Search, reply: Any) -> None:
        if isinstance(reply, Exception):
            self._end(search)

    def _end(self, search: _Search) -> None:
        if not search.ended.done():
            del self._searches[search.person]
            search.ended.set_result(None)
