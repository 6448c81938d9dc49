"""Connection pools of Redis, one of them behind a circuit breaker; see `CircuitBreaker`."""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, override

import hiredis
from redis import Connection, ConnectionPool, RedisError
from redis.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MasterDownError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from domain.circuit_breaker import CircuitBreaker

# A demoted primary rejects a command so, before it does anything; a new connection may lead to the
# new primary.
REJECTED = (ReadOnlyError, MasterDownError)
type Argument = str | bytes | int

_SLOW_CONNECT = 0.3  # seconds; a refused connection fails at once, and needs no circuit breaker


class Pool(ConnectionPool):
    """redis-py's pool, without its metrics and events.

    After another server has become the primary, processes send commands to the old one for
    `grace_period` seconds at most, and get its replies.
    """

    grace_period = 0.0

    def exchange(self, commands: Sequence[tuple[Argument, ...]]) -> list[Any]:
        """Sends all commands before it reads the first reply; returns the replies in order, errors
        among them.

        Retries all of them as the connections are configured. Raises `RedisError` when Redis is
        unavailable.
        """
        packed = [hiredis.pack_command(command) for command in commands]  # type: ignore[arg-type]  # its stub: one word
        if not packed:
            return []
        connection: Any = self.get_connection()

        def exchange() -> list[Any]:
            connection.send_packed_command([b"".join(packed)])
            replies = [_read_reply(connection) for _ in packed]
            for reply in replies:
                if isinstance(reply, REJECTED):
                    raise reply
            return replies

        try:
            replies: list[Any] = connection.retry.call_with_retry(
                exchange, lambda _: connection.disconnect()
            )
            return replies
        finally:
            self.release(connection)

    def primaries(self) -> "list[tuple[Pool, str]]":
        """Returns the pool and the hash tag of each primary: this one."""
        return [(self, "")]

    def primary(self, key: str) -> "tuple[Pool, str]":
        """Returns the pool and the hash tag of the primary that stores a key."""
        return self, ""

    @override
    def get_connection(self, *args: Any, **kwargs: Any) -> Any:
        self._checkpid()
        with self._lock:
            idle = self._available_connections
            connection = idle.pop() if idle else self.make_connection()
            self._in_use_connections.add(connection)
        try:
            if connection.is_connected and not _is_clean(connection):
                connection.disconnect()
            if not connection.is_connected:
                connection.connect()
        except BaseException:
            self.release(connection)
            raise
        return connection

    @override
    def release(self, connection: Any) -> None:
        self._checkpid()
        if connection.should_reconnect():
            connection.disconnect()
        with self._lock:
            if connection in self._in_use_connections:  # not one from before a fork
                self._in_use_connections.remove(connection)
                self._available_connections.append(connection)

    def seconds_until_settled(self) -> float:
        """Returns the rest of the grace period, since this pool noticed another primary."""
        return 0.0

    def reconnect(self) -> None:
        """Closes the idle connections, and the others after their command."""
        self.disconnect(inuse_connections=False)
        with self._lock:
            self.update_active_connections_for_reconnect()


class CircuitOpen(RedisConnectionError):
    """Redis did not respond in time to another call, and has not recovered."""


class CircuitBreakerPool(Pool):
    """A pool that raises `CircuitOpen` from a timeout of any of its connections until recovery."""

    def __init__(
        self,
        connection_class: Any = Connection,
        *,
        server: str = "redis",
        **kwargs: Any,
    ) -> None:
        """`server` names it in the log and the metrics."""
        self._server = server
        self._breaker = CircuitBreaker(server)
        self._is_closed = False
        attributes = {"on_timeout": staticmethod(self._on_timeout)}
        super().__init__(type("Connection", (_Connection, connection_class), attributes), **kwargs)

    @override
    def get_connection(self, *args: Any, **kwargs: Any) -> Any:
        if self._breaker.is_open:
            raise CircuitOpen("Redis does not respond")
        started_at = monotonic()
        try:
            return super().get_connection()
        except (RedisConnectionError, RedisTimeoutError):
            if monotonic() - started_at > _SLOW_CONNECT:
                self._on_timeout()
            raise

    def close_circuit(self) -> None:
        """Closes the circuit: commands go to another server from now on."""
        self._breaker = CircuitBreaker(self._server)  # the other one's probe ends by itself

    def _on_timeout(self) -> None:
        self.reconnect()  # another server may take over, and this one keep its connections
        self._breaker.open(self._probe, RedisError)

    @override
    def close(self) -> None:
        self._is_closed = True
        super().close()

    def _probe(self) -> None:
        if self._is_closed:
            return  # it need not recover
        connection = self.connection_class(**self.connection_kwargs)
        try:
            connection.send_command("PING")
            connection.read_response()
        finally:
            connection.disconnect()


def _read_reply(connection: Any) -> Any:
    """Returns the next reply, also if it is an error."""
    try:
        return connection.read_response()
    except ResponseError as error:
        return error


def _is_clean(connection: Any) -> bool:
    """Returns whether a connection is open and has no unread reply."""
    try:
        return not connection.can_read()
    except (RedisError, OSError):
        return False


class _Connection(AbstractConnection):
    """A connection that reports a read timeout."""

    on_timeout: Callable[[], None]

    @override
    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().read_response(*args, **kwargs)
        except RedisTimeoutError:
            self.on_timeout()
            raise
