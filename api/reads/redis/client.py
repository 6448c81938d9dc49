"""The profile Redis of a read process: one connection that is re-established automatically."""

import asyncio
import time
from asyncio import Future, Task
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import hiredis
import structlog

from api.observability.loop_metrics import loop_metrics
from api.reads.backend_keys import BackendKeys
from api.reads.client_cache import ClientCache
from api.reads.redis.connection import (
    MultiplexedConnection,
    RedisUnavailable,
    encode_command,
    error_code,
)
from api.reads.redis.replies import gather_replies, handshake
from api.reads.redis.sentinel import make_locator
from api.reads.redis.server_check import (
    ClusterCheck,
    ServerCheck,
    UntrustedServer,
    describe_error,
    failure_status,
)
from api.reads.redis.tracking import enable_tracking
from api.reads.socket_address import SocketAddress
from domain import fence, profile
from domain.backend_keys import load_command
from domain.metrics import registry
from domain.model.backoff import retry_delay
from domain.model.session_token import TokenClaims
from domain.redis_url import CLUSTER, RedisUrl

log = structlog.get_logger(__name__)

_BACKOFF_INITIAL, _BACKOFF_MAX = 0.04, 0.4  # seconds between two attempts
_STABLE_AFTER = 1.0  # seconds; a connection that lasted less counts as a failure
# Replies of a server that cannot serve reads: still loading, or a replica.
_FATAL_ERRORS = frozenset({"LOADING", "MASTERDOWN", "READONLY"})
_ASKING = encode_command(("ASKING",))


class RedisClient:
    """One multiplexed connection, made again whenever it is lost. Nothing is opened before `start`.

    `timeout`: seconds for a reply; `max_pending` commands; `max_staleness`, seconds that
    an entry of the client-side cache is used after Redis last replied (0: no cache), which takes
    `cache_bytes` at most; `check_interval`, seconds between two checks of role and fence, which
    load `backend_keys` too.

    `cache` is the client-side cache, while there is a connection that Redis sends invalidations
    on; nodes of a Redis Cluster share one. `status`, one of `STATUSES`, is what `/readyz` reports.
    """

    def __init__(
        self,
        url: RedisUrl,
        *,
        timeout: float = 1.0,
        max_pending: int = 10_000,
        max_staleness: float = 0.0,
        cache_bytes: int = 8 * 1024 * 1024,
        check_interval: float = 0.5,
        cache: ClientCache | None = None,
        backend_keys: BackendKeys | None = None,
    ) -> None:
        self.cache: ClientCache | None = None
        self.status = "unavailable"
        self.check = ClusterCheck() if url.topology == CLUSTER else ServerCheck()
        if cache is None and max_staleness:
            cache = ClientCache(max_staleness, cache_bytes)
        self._own_cache = cache
        self._backend_keys = backend_keys
        self._check_interval = check_interval
        self._host = url.hosts[0][0] if url.hosts else ""
        self._handshake = url.handshake()
        self._locator = make_locator(url)
        self._timeout = timeout
        self._max_pending = max_pending
        self._connection: MultiplexedConnection | None = None
        self._reconnect_task: Task[None] | None = None
        self._last_error_code = ""

    def start(self) -> None:
        """Starts to connect. Commands of the loop's next turn on wait for the connection."""
        self._reconnect_task = asyncio.create_task(self._keep_connected())

    def send_command(self, command: bytes, on_reply: Callable[[Any], None]) -> None:
        """Does what `MultiplexedConnection.send_command` does."""
        if self._connection is None:
            raise RedisUnavailable
        self._connection.send_command(command, on_reply)

    def fetch(self, token: TokenClaims, command: bytes, on_reply: Callable[[Any], None]) -> None:
        """Does what `ClientCache.fetch` does; only if there is a `cache`."""
        if self._connection is None or self.cache is None:
            raise RedisUnavailable
        self.cache.fetch(self._connection, token, command, on_reply)

    def execute(self, command: bytes, *, is_asking: bool = False) -> Future[Any]:
        """Returns a future of the reply, as `MultiplexedConnection.execute_command` does.

        `is_asking`: this node of a Cluster is about to get the slot of the key.
        """
        if self._connection is None:
            raise RedisUnavailable
        if is_asking:
            self._connection.send_command(_ASKING, lambda _: None)
        return self._connection.execute_command(command)

    def for_person(self, person_id: bytes) -> "RedisClient":
        """Returns the client of the server that has a person's profile: this one."""
        return self

    async def execute_for_person(self, person_id: bytes, command: bytes) -> Any:
        """Returns the reply to a command with the key of a person's profile.

        Raises as `execute` does.
        """
        return await self.execute(command)

    @property
    def host(self) -> str:
        """The host of the URL, for redirects to the same one."""
        return self._host

    @property
    def backfill_queue(self) -> str:
        """The key of this primary's backfill queue."""
        return profile.backfill_queue(self.check.hash_tag)

    def statuses(self) -> list[str]:
        """Returns the status of each primary: of this one."""
        return [self.status]

    def on_command_error(self, error: hiredis.ReplyError) -> None:
        """Closes the connection if the error says that this server cannot serve reads.

        Logs an error when it is another one than the last: each read meets it.
        """
        code = error_code(error)
        if code != self._last_error_code:
            self._last_error_code = code
            log.warning("redis_command_failed", **describe_error(error))
        if code in _FATAL_ERRORS and self._connection is not None:
            self._connection.close()

    async def close(self) -> None:
        """Closes the connection. Pending commands fail with `RedisUnavailable`."""
        if self._reconnect_task is not None:
            self._reconnect_task.cancel()
            await asyncio.wait([self._reconnect_task])
            self._reconnect_task = None

    async def _keep_connected(self) -> None:
        """Reconnects forever.

        The first attempt after a loss starts at once, and commands wait for it, so that a restart
        of Redis goes unnoticed. While further attempts fail, commands fail at once.
        """
        failures = 0
        while True:
            failures = await self._run_connection(failures)
            if failures:
                delay = retry_delay(failures, None, initial=_BACKOFF_INITIAL, maximum=_BACKOFF_MAX)
                await asyncio.sleep(delay)

    async def _run_connection(self, failures: int) -> int:
        """Makes a connection and returns at its end: the number of failures in a row now."""
        closed = asyncio.Event()
        connection = MultiplexedConnection(self._timeout, self._max_pending, closed.set)
        self._connection = None if failures else connection
        established_at = 0.0
        try:
            address = await self._locator.find_primary()
            await self._connect(connection, address)
            self._connection = connection
            loop_metrics.inc(registry.REDIS_CONNECTS, "profiles")
            log.info("redis_connected", failures=failures)
            established_at = time.monotonic()
            if self._own_cache and await enable_tracking(connection, self._own_cache):
                self.cache = self._own_cache
            await self._check_regularly(connection, closed, address)
        except (OSError, RedisUnavailable, UntrustedServer, hiredis.ReplyError) as error:
            self.status = failure_status(error)
            if not established_at:
                return self._on_connect_error(error, failures)
        finally:
            self._connection = self.cache = None
            connection.close()
            if self._own_cache:
                self._own_cache.drop(connection)
        loop_metrics.inc(registry.REDIS_DISCONNECTS, "profiles")
        log.warning("redis_disconnected")
        return 0 if time.monotonic() - established_at > _STABLE_AFTER else 1

    def _on_connect_error(self, error: Exception, failures: int) -> int:
        loop_metrics.inc(registry.REDIS_CONNECT_ERRORS, "profiles")
        if not failures:
            details = describe_error(error) | {"status": self.status}
            log.warning("redis_connect_failed", **details)
        # A relay advances the fence several times a second: no longer back-off for that.
        return 1 if self.status == "stale" else failures + 1

    async def _connect(self, connection: MultiplexedConnection, address: SocketAddress) -> None:
        async with asyncio.timeout(self._timeout):  # its TimeoutError is an OSError
            await address.connect(lambda: connection)
            commands = (*self._handshake, *self._check_commands())
            replies = await handshake(connection, commands)
        for reply in replies[: len(self._handshake)]:
            if isinstance(reply, hiredis.ReplyError):
                raise reply
        self._on_check(replies[len(self._handshake) :])
        connection.mark_ready()

    def _check_commands(self) -> list[tuple[str, ...]]:
        commands = self.check.commands()
        return [*commands, load_command(self.check.hash_tag)] if self._backend_keys else commands

    def _on_check(self, replies: list[Any]) -> None:
        """Takes the replies to the commands of a check. Raises as `ServerCheck.status` does."""
        keys_reply = replies.pop() if self._backend_keys else None
        self.status = self.check.status(replies)
        if self._backend_keys:
            self._backend_keys.load(keys_reply, fence.parse_identity(*replies[:2]))

    async def _check_regularly(
        self, connection: MultiplexedConnection, closed: asyncio.Event, address: SocketAddress
    ) -> None:
        """Checks role and fence until the connection is closed: a primary that is demoted keeps
        its clients. One that is cut off from the Sentinels does not know that another took over.
        Raises as `ServerCheck.status` does, and `RedisUnavailable`.
        """
        while True:
            moved = asyncio.ensure_future(self._locator.has_moved(address))
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._check_interval):
                        await closed.wait()
                    raise RedisUnavailable
                commands = map(encode_command, self._check_commands())
                self._on_check(await gather_replies(map(connection.execute_command, commands)))
                if await moved:
                    raise UntrustedServer("unavailable")
            finally:
                moved.cancel()
