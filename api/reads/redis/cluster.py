"""The profile Redis of a read process, if it is a Redis Cluster: a client for each primary."""

import asyncio
import random
from asyncio import Task
from binascii import crc_hqx
from contextlib import suppress
from typing import Any

import hiredis
import structlog

from api.reads.client_cache import ClientCache
from api.reads.redis.client import RedisClient
from api.reads.redis.connection import RedisUnavailable, error_code, is_redirect
from api.reads.redis.query import query
from api.reads.redis.server_check import STATUSES
from api.reads.socket_address import SocketAddress
from domain.redis_cluster import (
    MAX_REDIRECTS,
    SLOT_COUNT,
    TOPOLOGY_COMMANDS,
    TRY_AGAIN_DELAY,
    Topology,
    key_slot,
    parse_redirect,
    parse_topology,
)
from domain.redis_url import CLUSTER, RedisUrl

log = structlog.get_logger(__name__)

_MAX_AGE, _MIN_AGE = 0.5, 0.05  # seconds between two questions for the topology
_TIMEOUT = 0.5  # seconds for a node to reply to that

type AnyRedis = RedisClient | RedisCluster


def make_redis(url: RedisUrl, **options: Any) -> AnyRedis:
    """Returns the client of a server or a Cluster; `options` as in `RedisClient`."""
    return RedisCluster(url, **options) if url.topology == CLUSTER else RedisClient(url, **options)


class RedisCluster:
    """Clients of all primaries, by slot. Nothing is opened before `start`.

    One that is down costs only the people whose profiles it has: `status` is "ok" while one is.
    """

    def __init__(
        self,
        url: RedisUrl,
        *,
        max_staleness: float = 0.0,
        cache_bytes: int = 8 * 1024 * 1024,
        **options: Any,
    ) -> None:
        self.cache = ClientCache(max_staleness, cache_bytes) if max_staleness else None
        self._url = url
        self._options = options | {"cache": self.cache}
        self._topology = Topology(0, [])
        self._is_unknown = False  # for the log
        self._clients: dict[tuple[str, int], RedisClient] = {}
        self._unserved = RedisClient(url)  # is never connected
        self._slots = [self._unserved] * SLOT_COUNT
        self._refresh_event = asyncio.Event()
        self._refresh_task: Task[None] | None = None

    def start(self) -> None:
        """Starts to connect."""
        self._refresh_task = asyncio.create_task(self._keep_refreshing())

    async def close(self) -> None:
        """Closes all connections. Pending commands fail with `RedisUnavailable`."""
        if self._refresh_task is not None:
            self._refresh_task.cancel()
            await asyncio.wait([self._refresh_task])
        for client in self._clients.values():
            await client.close()

    @property
    def status(self) -> str:
        """The best status of the primaries."""
        return min(self.statuses(), key=STATUSES.index, default="unavailable")

    def statuses(self) -> list[str]:
        """Returns the status of each primary."""
        return [client.status for client in self._clients.values()]

    def for_person(self, person_id: bytes) -> RedisClient:
        """Returns the client of the primary that has a person's profile."""
        return self._slots[crc_hqx(b"p:" + person_id.hex().encode(), 0) % SLOT_COUNT]

    def on_command_error(self, error: hiredis.ReplyError) -> None:
        """Has the topology refreshed, if the error says that it has changed."""
        if error_code(error) == "MOVED":
            self._refresh_event.set()

    async def execute_for_person(self, person_id: bytes, command: bytes) -> Any:
        """Returns the reply to a command with the key of a person's profile; follows redirects.

        Raises `RedisUnavailable`, and `hiredis.ReplyError` for any other error.
        """
        client, is_asking = self.for_person(person_id), False
        for _ in range(MAX_REDIRECTS + 1):
            try:
                return await client.execute(command, is_asking=is_asking)
            except hiredis.ReplyError as error:
                if not is_redirect(error):
                    raise
                self.on_command_error(error)
                if redirect := parse_redirect(error, client.host):
                    client, is_asking = (
                        await self._client_at(redirect.address),
                        not redirect.is_permanent,
                    )
                else:  # the keys of the command are being moved
                    await asyncio.sleep(TRY_AGAIN_DELAY)
        raise RedisUnavailable

    # --- Topology --------------------------------------------------------------------------------

    async def _client_at(self, address: tuple[str, int]) -> RedisClient:
        """Returns the client of a node; of a new one once it has started to connect."""
        client = self._clients.get(address)
        if client is None:
            client = self._clients[address] = self._make_client(address)
            await asyncio.sleep(0)
        return client

    def _make_client(self, address: tuple[str, int]) -> RedisClient:
        client = RedisClient(self._url._replace(hosts=[address]), **self._options)
        client.start()
        return client

    async def _keep_refreshing(self) -> None:
        while True:
            await self._refresh()
            await asyncio.sleep(_MIN_AGE)
            with suppress(TimeoutError):
                async with asyncio.timeout(_MAX_AGE):
                    await self._refresh_event.wait()
            self._refresh_event.clear()

    async def _refresh(self) -> None:
        """Asks the nodes, one after the other, for the topology."""
        known = [node.address for node in self._topology.nodes]
        commands = [*self._url.handshake(), *TOPOLOGY_COMMANDS]
        for address in random.sample(known, len(known)) + self._url.hosts:
            socket_address = SocketAddress("", *address, self._url.ssl_context)
            if replies := await query(socket_address, commands, _TIMEOUT):
                has_tls = self._url.ssl_context is not None
                topology = parse_topology(replies[-2:], address[0], has_tls=has_tls)
                # A node that was cut off or suspended has an older one.
                if topology and topology.epoch >= self._topology.epoch:
                    await self._apply(topology)
                    self._is_unknown = False
                    return
        if not self._is_unknown:
            self._is_unknown = True
            log.warning("redis_topology_unknown")

    async def _apply(self, topology: Topology) -> None:
        """Connects to new primaries, and leaves those that are none any more."""
        if topology.nodes != self._topology.nodes:
            clients = dict(self._clients)
            slots = [self._unserved] * SLOT_COUNT
            for node in topology.nodes:
                client = clients.pop(node.address, None)
                if client is None:
                    client = self._clients[node.address] = self._make_client(node.address)
                client.check.hash_tag = node.hash_tag
                for first, last in node.ranges:
                    slots[first : last + 1] = [client] * (last + 1 - first)
            old_slots, self._slots = self._slots, slots
            if self.cache is not None:
                # Their invalidations come from another connection now.
                self.cache.drop_keys(
                    lambda key: old_slots[s := key_slot(key.encode())] is not slots[s]
                )
            log.info("redis_topology_changed", primaries=len(topology.nodes))
            for address, client in clients.items():
                del self._clients[address]
                await client.close()
        self._topology = topology
