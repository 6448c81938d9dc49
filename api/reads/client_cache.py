"""Client-side cache of profiles, invalidated by Redis (CLIENT TRACKING, RESP3).

Redis sends a push message when a key that was read on the connection has changed, in order with its
replies. It remembers only keys that were read after `CLIENT CACHING YES` (`OPTIN`), because
remembering every read of every process costs most of what the cache saves. The broadcasting mode
is not usable: its messages are sent at the end of a turn of Redis' event loop, after replies to
later commands.

A writer may have its reply before this process has the push message. Two rules together make sure
that no client reads a state older than its own answered write:

- An entry is used only if the last command that has its reply was sent less than `max_staleness`
  ago. A write before that command was pushed before its reply, and the entry is gone; any other
  write is younger than `max_staleness`.
- A command that changes a profile or revokes a session waits for `max_staleness`, after Redis has
  the write, before it responds (`domain.projection.writer.sleep_max_staleness`).

Each clock measures only its own time; they must run equally fast. A process that was stopped
(SIGSTOP, a long pause) finds its entries too old. Only where a whole machine is frozen with
its clock, `max_staleness` counts from its thaw.
"""

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic, time
from typing import Any

from api.reads.redis.connection import MultiplexedConnection, encode_command
from domain import profile
from domain.model.errors import InvalidToken
from domain.model.session_token import TokenClaims
from domain.profile import CacheMiss

_CACHING = encode_command(("CLIENT", "CACHING", "YES"))
_PERSON_BYTES, _SESSION_BYTES = 600, 700  # of Python's objects, beside the stored bytes


@dataclass(slots=True, eq=False, init=False, repr=False)
class CacheEntry:
    """A decoded reply to HMGET, the verified token that it was sent for, and the connection."""

    key: str
    token: TokenClaims
    body: bytes
    etag: bytes
    expiry: int
    connection: MultiplexedConnection

    def __init__(
        self,
        key: str,
        token: TokenClaims,
        decoded: tuple[bytes, bytes, int],
        connection: MultiplexedConnection,
    ) -> None:
        self.key = key
        self.token = token
        self.body, self.etag, self.expiry = decoded
        self.connection = connection

    def decode(self, now: float) -> tuple[bytes, bytes, int]:
        """Returns what `domain.profile.decode_reply` did. Raises `InvalidToken` if the session has
        expired by Unix time `now`.
        """
        if self.expiry <= now:
            raise InvalidToken
        return self.body, self.etag, self.expiry

    def __repr__(self) -> str:
        return f"CacheEntry({self.token!r})"


type _Sessions = dict[bytes, CacheEntry]  # of one person, by the token's digest


class ClientCache:
    """The entries of this process, which end with the connection that they were read on. They take
    `max_bytes` at most.
    """

    def __init__(self, max_staleness: float, max_bytes: int) -> None:
        self._max_staleness = max_staleness
        self._max_bytes = max_bytes
        self._size = 0
        self._entries: _Sessions = {}  # of all people
        self._people: OrderedDict[str, _Sessions] = OrderedDict()  # by Redis key, LRU first
        self._recent_digests = [b""] * 256

    def find(self, digest: bytes) -> CacheEntry | None:
        """Returns the entry of the token with that digest, if it is fresh enough."""
        entry = self._entries.get(digest)
        if entry is None:
            return None
        if monotonic() - entry.connection.last_reply_sent_at >= self._max_staleness:
            return None
        self._people.move_to_end(entry.key)
        return entry

    def admits(self, digest: bytes) -> bool:
        """Returns whether this token was seen a short while ago too, and has no entry.

        Each digest has one of 256 places, until another digest takes it. Of tokens drawn at random
        from 100,000, one in 400 is still there; those cost one command more. If all were admitted,
        a read at random would cost a third more in this process alone.
        """
        place = digest[0]
        if self._recent_digests[place] == digest:
            return digest not in self._entries
        self._recent_digests[place] = digest
        return False

    def fetch(
        self,
        connection: MultiplexedConnection,
        token: TokenClaims,
        command: bytes,
        on_reply: Callable[[Any], None],
    ) -> None:
        """Sends `command`, the HMGET for that token, and stores its reply.

        Raises `RedisUnavailable`, as `MultiplexedConnection.send_command` does.
        """
        allowed = False

        def on_caching_reply(reply: Any) -> None:
            nonlocal allowed
            allowed = reply == b"OK"

        def on_hmget_reply(reply: Any) -> None:
            if allowed:
                self._store(connection, token, reply)
            on_reply(reply)

        connection.send_command(_CACHING, on_caching_reply)
        connection.send_command(command, on_hmget_reply)

    def drop(self, connection: MultiplexedConnection) -> None:
        """Removes all entries that were read on a connection."""
        for key, sessions in list(self._people.items()):
            if any(entry.connection is connection for entry in sessions.values()):
                self._evict(key)

    def drop_keys(self, is_dropped: Callable[[str], bool]) -> None:
        """Removes the entries of all keys for which `is_dropped`."""
        for key in filter(is_dropped, list(self._people)):
            self._evict(key)

    def _store(self, connection: MultiplexedConnection, token: TokenClaims, reply: Any) -> None:
        if connection.closed:
            return  # nothing would remove it
        # Whatever is wrong with a reply is reported to the request that it belongs to.
        with suppress(CacheMiss, InvalidToken, ValueError, TypeError):
            decoded = profile.decode_reply(token, reply, time())
            key = profile.redis_key_for_token(token)
            sessions = self._people.setdefault(key, {})
            self._size -= _size(sessions)
            entry = CacheEntry(key, token, decoded, connection)
            for other in sessions.values():
                if other.body == entry.body:
                    entry.body = other.body  # they share one
                    break
            sessions[token.digest] = self._entries[token.digest] = entry
            self._size += _size(sessions)
            self._people.move_to_end(key)
            while self._size > self._max_bytes:
                self._evict(next(iter(self._people)))

    def _evict(self, key: str) -> None:
        sessions = self._people.pop(key, {})
        self._size -= _size(sessions)
        for digest in sessions:
            del self._entries[digest]

    def invalidate(self, connection: MultiplexedConnection, push: list[Any]) -> None:
        """Handles a push message: keys that have changed, or None for all of them (FLUSHALL)."""
        match push:
            case [b"invalidate", list(keys)]:
                for key in keys:
                    self._evict(key.decode())
            case _:
                self.drop(connection)


def _size(sessions: _Sessions) -> int:
    """Returns the bytes that a person takes; 0 without sessions."""
    if not sessions:
        return 0
    body = next(iter(sessions.values())).body
    return _PERSON_BYTES + len(body) + _SESSION_BYTES * len(sessions)
