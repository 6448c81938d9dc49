"""Redis Cluster: which primary serves a key, and what its nodes say of each other.

A key belongs to one of 16,384 slots, a slot to a primary. A primary has a fence and a backfill
queue of its own, in the lowest of its slots: their keys have a hash tag of that slot.
"""

from binascii import crc_hqx
from collections.abc import Mapping
from functools import cache
from itertools import batched, count
from typing import Any, NamedTuple

SLOT_COUNT = 16_384
TOPOLOGY_COMMANDS = ("CLUSTER", "INFO"), ("CLUSTER", "SHARDS")
MAX_REDIRECTS = 5
TRY_AGAIN_DELAY = 0.02  # seconds


class Node(NamedTuple):
    """A primary: its address, and the first and last slots of its ranges, in order."""

    host: str
    port: int
    ranges: tuple[tuple[int, int], ...] = ()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port

    @property
    def hash_tag(self) -> str:
        """A hash tag of its lowest slot; empty without slots."""
        return find_hash_tag(self.ranges[0][0]) if self.ranges else ""


class Topology(NamedTuple):
    """The primaries by one node's knowledge, and its epoch, which rises with each failover."""

    epoch: int
    nodes: list[Node]


class Redirect(NamedTuple):
    """Where a command is to be sent instead: from now on (MOVED), or this time (ASK)."""

    address: tuple[str, int]
    is_permanent: bool


def key_slot(key: bytes) -> int:
    """Returns the slot of a key, or of its hash tag."""
    start = key.find(b"{") + 1
    if start and (end := key.find(b"}", start)) > start:
        key = key[start:end]
    return crc_hqx(key, 0) % SLOT_COUNT


@cache
def find_hash_tag(slot: int) -> str:
    """Returns the first number whose digits have that slot."""
    return next(tag for tag in map(str, count()) if crc_hqx(tag.encode(), 0) % SLOT_COUNT == slot)


def parse_topology(replies: list[Any], host: str, *, has_tls: bool) -> Topology | None:
    """Parses the replies of the node at `host` to `TOPOLOGY_COMMANDS`; None if it is of no use."""
    info, shards = replies
    try:
        epoch = int(info.partition(b"cluster_current_epoch:")[2].split()[0])
        parsed = [_parse_shard(_to_dict(shard), host, has_tls=has_tls) for shard in shards]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None
    nodes = sorted(node for node in parsed if node is not None)  # each node has its own order
    return Topology(epoch, nodes) if nodes else None


def parse_redirect(error: Exception, host: str) -> Redirect | None:
    """Parses the error MOVED or ASK of the node at `host`; None for any other."""
    code, _, rest = str(error).partition(" ")
    target, separator, port = rest.partition(" ")[2].rpartition(":")
    if code not in ("MOVED", "ASK") or not separator or not port.isdigit():
        return None
    return Redirect((target or host, int(port)), code == "MOVED")


def _parse_shard(shard: Mapping[bytes, Any], host: str, *, has_tls: bool) -> Node | None:
    """Returns the primary of a shard, preferably one that responds to the others."""
    nodes = map(_to_dict, shard[b"nodes"])
    primaries = [node for node in nodes if node[b"role"] == b"master"]
    primaries.sort(key=lambda node: node[b"health"] != b"online")
    if not primaries:
        return None
    endpoint = (primaries[0].get(b"endpoint") or b"").decode()
    port = primaries[0].get(b"tls-port" if has_tls else b"port") or primaries[0][b"port"]
    ranges = tuple(sorted((int(first), int(last)) for first, last in batched(shard[b"slots"], 2)))
    # Without an endpoint, or with one that it does not know, it is the host that was asked.
    return Node(endpoint if endpoint not in ("", "?") else host, int(port), ranges)


def _to_dict(reply: Any) -> Mapping[bytes, Any]:
    """Returns a map, which RESP2 has as a list."""
    return reply if isinstance(reply, Mapping) else dict(batched(reply, 2))
