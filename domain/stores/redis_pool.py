"""A pool of connections to Redis behind a circuit breaker; see `CircuitBreaker`."""

from time import monotonic
from typing import Any, override

from redis import Connection, ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from domain.stores.circuit_breaker import CircuitBreaker

_SLOW_CONNECT = 0.3  # seconds; a refusal comes at once, and needs no circuit breaker


class CircuitOpen(RedisConnectionError):
    """Redis did not respond in time to another call, a moment ago."""


class CircuitBreakerPool(ConnectionPool):
    """Raises `CircuitOpen` for a second after a timeout of any of its connections.

    Timeouts must be such that connecting and one reply take no more than three seconds.
    """

    def __init__(self, connection_class: type[Connection] = Connection, **kwargs: Any) -> None:
        self._breaker = CircuitBreaker(cooldown=1.0, trial_timeout=3.0)
        reporting = type("Connection", (_Reporting, connection_class), {"breaker": self._breaker})
        super().__init__(reporting, **kwargs)

    @override
    def get_connection(self, *args: Any, **kwargs: Any) -> Any:
        if not self._breaker.allows():
            raise CircuitOpen("Redis has not responded a moment ago")
        started_at = monotonic()
        try:
            return super().get_connection()
        except (RedisConnectionError, RedisTimeoutError):
            self._breaker.record(timed_out=monotonic() - started_at > _SLOW_CONNECT)
            raise


class _Reporting(Connection):
    """A connection that reports the outcome of each command to the breaker."""

    breaker: CircuitBreaker

    @override
    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        timed_out = False
        try:
            return super().read_response(*args, **kwargs)
        except RedisTimeoutError:
            timed_out = True
            raise
        finally:
            self.breaker.record(timed_out=timed_out)
