"""A pool of connections to Redis behind a circuit breaker; see `CircuitBreaker`."""

from collections.abc import Callable
from time import monotonic
from typing import Any, override

from redis import Connection, ConnectionPool, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from domain.stores.circuit_breaker import CircuitBreaker

_SLOW_CONNECT = 0.3  # seconds; a refusal comes at once, and needs no circuit breaker


class CircuitOpen(RedisConnectionError):
    """Redis did not respond in time to another call, and has not recovered."""


class CircuitBreakerPool(ConnectionPool):
    """A pool that raises `CircuitOpen` from a timeout of any of its connections until recovery."""

    def __init__(self, connection_class: type[Connection] = Connection, **kwargs: Any) -> None:
        self._breaker = CircuitBreaker("redis")
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

    def _on_timeout(self) -> None:
        self._breaker.open(self._probe, RedisError)

    def _probe(self) -> None:
        connection = self.connection_class(**self.connection_kwargs)
        try:
            connection.send_command("PING")
            connection.read_response()
        finally:
            connection.disconnect()


class _Connection(Connection):
    """A connection that reports a reply that did not come in time."""

    on_timeout: Callable[[], None]

    @override
    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().read_response(*args, **kwargs)
        except RedisTimeoutError:
            self.on_timeout()
            raise
