"""Checks whether profiles may be read from a server: its role, its fence, and its settings."""

from collections.abc import Sequence
from typing import Any

from api.reads.redis.connection import error_code, is_redirect
from domain import fence

# It does not let this user in, or run a command; logged by name.
_PERMISSION_ERRORS = frozenset({"NOAUTH", "NOPERM", "WRONGPASS"})
_INFO = ("INFO", "server"), ("INFO", "replication")

STATUSES = ("ok", "unavailable", "stale", "misconfigured")


class UntrustedServer(Exception):
    """A server whose data must not be read; `args[0]` is the status for `/readyz`.

    stale: it may have lost writes (another identity than the fence has), which a relay checks;
    unavailable: it is a replica, demoted or not promoted yet; or Sentinel names another primary.
    """


class ServerCheck:
    """Checks a server, again and again. `hash_tag`: that of the primary in a Redis Cluster."""

    def __init__(self) -> None:
        self.hash_tag = ""
        self._generation = 0  # the highest that was seen

    def commands(self) -> list[tuple[str, ...]]:
        """Returns the commands whose replies `status` needs."""
        return [*fence.fence_commands(fence.fence_key(self.hash_tag)), ("INFO", "memory")]

    def status(self, replies: Sequence[Any]) -> str:
        """Returns what `/readyz` reports. Raises `UntrustedServer`, and the first error among the
        replies.
        """
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        *fence_replies, memory = replies
        if not fence.is_primary(fence_replies[1]):
            raise UntrustedServer("unavailable")
        if not self._is_trusted(fence_replies):
            raise UntrustedServer("stale")
        # Any other policy evicts profiles when memory is short, sessions and all.
        return "ok" if b"maxmemory_policy:noeviction" in memory else "misconfigured"

    def _is_trusted(self, fence_replies: Sequence[Any]) -> bool:
        generation = fence.parse_generation(fence_replies)
        if (
            not fence.is_trusted(fence_replies)
            or (generation or self._generation) < self._generation
        ):
            return False
        self._generation = generation or 0
        return True


class ClusterCheck(ServerCheck):
    """Checks a primary of a Redis Cluster. Its fence is in the lowest of its slots.

    When that is another slot, because some have been moved, its fence is missing for a moment, or
    that of the primary is there from which the slot came. But a server that was trusted is so while
    it has the same identity: its data have not gone back.
    """

    def __init__(self) -> None:
        super().__init__()
        self._trusted_identity: bytes | None = None

    def commands(self) -> list[tuple[str, ...]]:
        commands = super().commands() if self.hash_tag else [*_INFO, ("INFO", "memory")]
        return [*commands, ("DBSIZE",)]

    def status(self, replies: Sequence[Any]) -> str:
        server, replication, *fenced, memory, key_count = replies
        if not fenced or any(map(is_redirect, fenced)):
            fenced = [None, None, None]  # it has no slots, or not that one any more
        self._key_count = key_count
        return super().status([server, replication, *fenced, memory])

    def _is_trusted(self, fence_replies: Sequence[Any]) -> bool:
        server, replication, *fenced = fence_replies
        identity = fence.parse_identity(server, replication)
        is_trusted = identity == self._trusted_identity
        if not is_trusted:
            # Without a fence, data may be older than those of any fence.
            has_fence = fenced[0] is not None
            is_trusted = fence.is_trusted(fence_replies) if has_fence else not self._key_count
        self._trusted_identity = identity if is_trusted else None
        return is_trusted


def failure_status(error: Exception) -> str:
    """Returns what `/readyz` reports for a connection that could not be made, or was given up."""
    if isinstance(error, UntrustedServer):
        return str(error.args[0])
    return "misconfigured" if error_code(error) in _PERMISSION_ERRORS else "unavailable"


def describe_error(error: Exception) -> dict[str, str]:
    """Returns what may be logged of an error; of a missing permission also which one."""
    denied = fence.denied_command(error)
    return {"error_type": error_code(error)} | ({"denied_command": denied} if denied else {})
