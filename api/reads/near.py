"""Near copies: the profiles that are read most, kept in this process and struck out by Redis.

Redis tells a connection when a key that was read on it has changed (client-side caching, RESP3),
in order with its replies. It tells only of keys that were read after `CLIENT CACHING YES`
(`OPTIN`): it would else remember every key that anybody read, for each process, and that is most
of what it would save us. The other mode, a broadcast of every write, is no way: those messages are
sent when a turn of Redis' event loop ends, and so after replies to later commands.

But a writer may have its reply before we have the message. So two rules together make sure that
nobody gets the old state once the write's answer was had:

- A copy is used only if the last command that was answered on its connection had been sent less
  than `age` ago. A write that came before that command was told before its reply, and the copy
  is gone; any other write is younger than `age`.
- Whoever changes a profile or ends a session waits for `age`, once Redis has the write, before it
  answers (`domain.stores.profiles.settle`).

Each clock measures only its own time; all that is asked of them is that they run equally fast. A
process that was stopped (SIGSTOP, a long pause) finds its copies too old when it goes on. Only
where a whole machine is frozen together with its clock, and thawed, does `age` count from there.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from api.reads.link import Link, pack
from domain import profile
from domain.errors import InvalidToken
from domain.profile import Missing
from domain.session import Token

_PEOPLE = 4096  # with at most ten sessions each
_GREETING = (("HELLO", "3"), ("CLIENT", "TRACKING", "ON", "OPTIN"))
_CACHING = pack(("CLIENT", "CACHING", "YES"))


class Copy(NamedTuple):
    """A reply to HMGET, and the token that it was asked for, whose MAC was found right."""

    key: str
    token: Token
    reply: list[bytes | None]


class Near:
    """The copies that were read on one connection; they end with it.

    Goes in: the connection; `age`, in seconds, see above.
    """

    def __init__(self, link: Link, age: float) -> None:
        self._link = link
        self._age = age
        self._copies: dict[bytes, Copy] = {}  # by the token's digest
        self._people: OrderedDict[str, set[bytes]] = OrderedDict()  # key -> digests; by last use
        self._places = [b""] * 256

    async def start(self) -> None:
        """Ask Redis to tell of changes.

        Raises `hiredis.ReplyError` if it does not know how, or we may not, and `Unavailable`.
        """
        self._link.pushed = self._strike_out
        for command in _GREETING:
            await self._link.send(pack(command))

    def find(self, digest: bytes) -> Copy | None:
        """What is known of the bearer of the token with that digest, if it may be used now."""
        copy = self._copies.get(digest)
        if copy is None or time.monotonic() - self._link.answered >= self._age:
            return None
        self._people.move_to_end(copy.key)
        return copy

    def is_worth_keeping(self, digest: bytes) -> bool:
        """Whether the bearer of this token was here a short while ago too, and is not kept yet.

        Each digest has one of a few places, and stays there until another one comes. Of tokens
        drawn at random from 100,000, one in 400 is still found; those cost one command more.
        """
        place = digest[0]
        if self._places[place] == digest:
            return digest not in self._copies
        self._places[place] = digest
        return False

    def ask(self, token: Token, command: bytes, heed: Callable[[Any], None]) -> None:
        """As `Link.ask`; the command asks for that token's profile, which is kept if it is one."""
        allowed = False

        def heed_first(reply: Any) -> None:
            nonlocal allowed
            allowed = reply == b"OK"

        def heed_second(reply: Any) -> None:
            if allowed:
                self._keep(token, reply)
            heed(reply)

        self._link.ask(_CACHING, heed_first)
        self._link.ask(command, heed_second)

    def _keep(self, token: Token, reply: Any) -> None:
        # Whatever is wrong with a reply, whoever asked for it will say so.
        with suppress(Missing, InvalidToken, ValueError, TypeError):
            profile.answer(token, reply, time.time())
            key = profile.key_for(token)
            self._people.setdefault(key, set()).add(token.digest)
            self._copies[token.digest] = Copy(key, token, reply)
            if len(self._people) > _PEOPLE:
                self._forget(next(iter(self._people)))

    def _forget(self, key: str) -> None:
        for digest in self._people.pop(key, ()):
            del self._copies[digest]

    def _strike_out(self, push: list[Any]) -> None:
        """Heed what Redis tells: keys that have changed, or None when all have (FLUSHALL)."""
        match push:
            case [b"invalidate", list(keys)]:
                for key in keys:
                    self._forget(key.decode())
            case _:
                self._copies.clear()
                self._people.clear()
