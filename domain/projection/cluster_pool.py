"""Connections to the primaries of a Redis Cluster: each command goes to the one of its key."""

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Lock, Thread
from time import monotonic, sleep
from typing import Any

from redis import RedisError
from redis.exceptions import AskError, ClusterDownError, MovedError, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from domain.projection.redis_pool import Argument, Pool
from domain.redis_cluster import (
    MAX_REDIRECTS,
    SLOT_COUNT,
    TOPOLOGY_COMMANDS,
    TRY_AGAIN_DELAY,
    Node,
    Redirect,
    Topology,
    key_slot,
    parse_topology,
)

_MAX_AGE = 1.0  # seconds after which the topology is asked for again, while the pool is used
_MIN_AGE = 0.2  # seconds after which it is asked for again at an error

type _Address = tuple[str, int]
type AnyPool = Pool | ClusterPool


class ClusterPool:
    """A pool for each primary, with a circuit breaker of its own: one that does not respond costs
    only the people whose profiles it has. Thread-safe.

    `seeds` are nodes that may be asked for the others; `open_pool` makes the pool of an address.
    """

    def __init__(
        self, seeds: list[_Address], open_pool: Callable[[_Address], Pool], *, has_tls: bool
    ) -> None:
        self._seeds = seeds
        self._open_pool = open_pool
        self._has_tls = has_tls
        self._pools: dict[_Address, Pool] = {}
        self._topology = Topology(0, [])
        self._slots: list[Node | None] = [None] * SLOT_COUNT
        self._refreshed_at = float("-inf")
        self._refreshing = Lock()

    def exchange(self, commands: Sequence[tuple[Argument, ...]]) -> list[Any]:
        """Does what `Pool.exchange` does; each of these commands has a key, of any primary.

        Errors of a connection are among the replies. Follows redirects.
        """
        self._keep_fresh()
        replies: list[Any] = [None] * len(commands)
        pending: Mapping[int, Redirect | None] = dict.fromkeys(range(len(commands)))
        for _ in range(MAX_REDIRECTS + 1):
            asked = self._send(commands, pending, replies)
            if not (pending := self._find_redirects(commands, asked, replies)):
                break
        return replies

    def primaries(self) -> list[tuple[Pool, str]]:
        """Returns the pool and the hash tag of each primary. Raises `RedisError` if none is
        known.
        """
        self._keep_fresh()
        nodes = self._topology.nodes
        return [(self._pool(node.address), node.hash_tag) for node in nodes if node.ranges]

    def primary(self, key: str) -> tuple[Pool, str]:
        """Returns those of the primary that stores a key. Raises `RedisError` if there is none."""
        self._keep_fresh()
        if (node := self._slots[key_slot(key.encode())]) is None:
            raise ClusterDownError("CLUSTERDOWN Hash slot not served")
        return self._pool(node.address), node.hash_tag

    def close(self) -> None:
        """Closes all connections."""
        for pool in list(self._pools.values()):
            pool.close()

    def seconds_until_settled(self) -> float:
        """Returns 0: a node that was cut off from the others serves nothing."""
        return 0.0

    def _send(
        self,
        commands: Sequence[tuple[Argument, ...]],
        pending: Mapping[int, Redirect | None],
        replies: list[Any],
    ) -> dict[int, _Address]:
        """Executes the pending commands, by number, where they are redirected to, or else where
        their key is; stores the replies. Returns which node was asked.
        """
        groups: defaultdict[_Address, list[int]] = defaultdict(list)
        for number, redirect in pending.items():
            node = self._slots[_slot(commands[number])]
            if redirect or node:
                groups[redirect.address if redirect else node.address].append(number)  # type: ignore[union-attr]  # one is there
            else:
                replies[number] = ClusterDownError("CLUSTERDOWN Hash slot not served")
        for address, numbers in groups.items():
            try:
                results = self._exchange(address, [(commands[n], pending[n]) for n in numbers])
            except RedisError as error:
                results = [error] * len(numbers)
            for number, reply in zip(numbers, results, strict=True):
                replies[number] = reply
        return {number: address for address, numbers in groups.items() for number in numbers}

    def _exchange(
        self, address: _Address, commands: list[tuple[tuple[Argument, ...], Redirect | None]]
    ) -> list[Any]:
        """Executes commands on one node. One that it is asked for, while it does not have the slot
        yet, needs an ASKING in front.
        """
        batch: list[tuple[Argument, ...]] = []
        positions = []
        for command, redirect in commands:
            if redirect and not redirect.is_permanent:
                batch.append(("ASKING",))
            positions.append(len(batch))
            batch.append(command)
        replies = self._pool(address).exchange(batch)
        return [replies[position] for position in positions]

    def _find_redirects(
        self,
        commands: Sequence[tuple[Argument, ...]],
        asked: dict[int, _Address],
        replies: list[Any],
    ) -> dict[int, Redirect | None]:
        """Returns the commands to be repeated, and where."""
        pending: dict[int, Redirect | None] = {}
        for number, address in asked.items():
            match replies[number]:
                case AskError() as error:  # MovedError is one
                    is_permanent = isinstance(error, MovedError)
                    if is_permanent:
                        self._refresh(_MIN_AGE)
                    # Without a host, it is the one that was asked.
                    target = (error.host or address[0], error.port)
                    pending[number] = Redirect(target, is_permanent)
                case TryAgainError():
                    pending[number] = None
                case RedisConnectionError() | RedisTimeoutError():
                    self._refresh(_MIN_AGE)
                    node = self._slots[_slot(commands[number])]
                    if node is not None and node.address != address:
                        pending[number] = None
        if any(isinstance(replies[number], TryAgainError) for number in pending):
            sleep(TRY_AGAIN_DELAY)  # the keys of a command are being moved
        return pending

    # --- Topology --------------------------------------------------------------------------------

    def _keep_fresh(self) -> None:
        """Refreshes the topology from time to time: in the background, but for the first time.

        Raises `RedisError` while none is known.
        """
        if not self._topology.nodes:
            self._refresh(0.0)
            if not self._topology.nodes:
                raise RedisConnectionError("No node of the Redis Cluster responds")
        elif monotonic() - self._refreshed_at > _MAX_AGE and not self._refreshing.locked():
            Thread(target=self._refresh, args=(_MAX_AGE,), daemon=True).start()

    def _refresh(self, min_age: float) -> None:
        """Asks the nodes, one after the other, for the topology, unless it is younger."""
        with self._refreshing:
            if monotonic() - self._refreshed_at < min_age:
                return
            known = [node.address for node in self._topology.nodes]
            for address in random.sample(known, len(known)) + self._seeds:
                with suppress(RedisError):
                    replies = self._pool(address).exchange(TOPOLOGY_COMMANDS)
                    topology = parse_topology(replies, address[0], has_tls=self._has_tls)
                    # A node that was cut off or suspended has an older one.
                    if topology and topology.epoch >= self._topology.epoch:
                        self._apply(topology)
                        break
            self._refreshed_at = monotonic()

    def _apply(self, topology: Topology) -> None:
        slots: list[Node | None] = [None] * SLOT_COUNT
        for node in topology.nodes:
            for first, last in node.ranges:
                slots[first : last + 1] = [node] * (last + 1 - first)
        self._topology, self._slots = topology, slots
        kept = {*(node.address for node in topology.nodes), *self._seeds}
        for address in self._pools.keys() - kept:
            self._pools.pop(address).close()

    def _pool(self, address: _Address) -> Pool:
        pool = self._pools.get(address)
        if pool is None:
            pool = self._pools.setdefault(address, self._open_pool(address))
        return pool


def _slot(command: tuple[Argument, ...]) -> int:
    """Returns the slot of the first key of a command, which all its keys have."""
    key = command[3 if command[0] == "EVALSHA" else 1]
    return key_slot(key if isinstance(key, bytes) else str(key).encode())
