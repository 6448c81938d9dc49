"""Connections to Postgres with a client-side deadline.

All of Postgres' own timeouts are enforced by the server, and those of TCP by its kernel. If a
server hangs (stopped, swapping, its disk failed), the kernel still acknowledges what it receives,
and psycopg waits for the response without end.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import Any, Self, override

import psycopg
import structlog
from psycopg import IsolationLevel
from psycopg.abc import RV, PQGen
from psycopg.errors import _WaitTimeout  # of `Connection.wait`, which has no public one

from domain.circuit_breaker import CircuitBreaker

_PING_TIMEOUT = 2.0  # seconds
# Seconds, less than a `connect_timeout`. A faster failure is a response: connection refused, too
# many connections, a wrong password. It costs no time, and open connections may still work.
_SLOW_CONNECT = 1.5
_INTERVAL = 0.1  # seconds between two checks for Ctrl-C, as in psycopg
# What psycopg and our SQL rely on, whatever the database or role has. Postgres reports them at the
# start, and PgBouncer keeps them for its client, in transaction mode too.
_SESSION = {
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "standard_conforming_strings": "on",
}
_HAS_TIME_LIMITS = """
    SELECT current_setting('statement_timeout')::interval BETWEEN '1 ms' AND %s
        AND current_setting('idle_in_transaction_session_timeout') <> '0'
"""

log = structlog.get_logger(__name__)


class ResponseTimeout(psycopg.OperationalError):
    """Postgres did not respond in time; whether it executed the statement is unknown."""


class CircuitOpen(psycopg.OperationalError):
    """Postgres did not respond in time to another call, and has not recovered."""


class MisconfiguredServer(psycopg.OperationalError):
    """The time limits are not in force, because PgBouncer refuses or drops them."""

    def __init__(self) -> None:
        super().__init__(
            "Behind PgBouncer, statement_timeout (at most STATEMENT_TIMEOUT_MS) and"
            " idle_in_transaction_session_timeout must be set by ALTER ROLE, and be named in"
            " PgBouncer's ignore_startup_parameters."
        )
        log.error("postgres_misconfigured", reason=str(self))


class Connection(psycopg.Connection[Any]):
    """A psycopg connection that waits for a response for at most `response_timeout` seconds.

    Then it closes itself, because its state is unknown. All connections of the process share a
    circuit breaker, whose probe is to connect. `response_timeout` None: no limit.
    """

    breaker = CircuitBreaker("postgres")
    response_timeout: float | None = None
    _probe: Callable[[], None]

    @classmethod
    @override
    def connect(  # type: ignore[override]  # one argument more
        cls, conninfo: str = "", *, response_timeout: float | None = None, **kwargs: Any
    ) -> Self:
        """Connects as psycopg does, which gives each host `connect_timeout` seconds.

        Raises psycopg's `OperationalError`, of that `CircuitOpen` and `MisconfiguredServer`.
        """
        if cls.breaker.is_open:
            raise CircuitOpen
        probe, started_at = partial(_probe_server, conninfo, kwargs), monotonic()
        try:
            connection = super().connect(conninfo, **kwargs)
        except psycopg.OperationalError as error:
            if monotonic() - started_at > _SLOW_CONNECT:
                cls.breaker.open(probe, psycopg.Error)
            if "unsupported startup parameter" in str(error):
                raise MisconfiguredServer from None
            raise
        connection.response_timeout = response_timeout
        connection._probe = probe  # noqa: SLF001  # it is our own
        try:
            connection._set_up_session()  # noqa: SLF001  # it is our own
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_up_session(self) -> None:
        """Sets what differs from `_SESSION`, and checks that the time limits are in force."""
        autocommit, self.autocommit = self.autocommit, True
        for name, value in _SESSION.items():
            if (self.info.parameter_status(name) or "").split(",")[0] != value:
                self.execute("SELECT set_config(%s, %s, false)", [name, value])
        if self.response_timeout:
            limit = timedelta(seconds=self.response_timeout)
            if self.execute(_HAS_TIME_LIMITS, [limit]).fetchone() != (True,):
                raise MisconfiguredServer
        self.autocommit = autocommit
        # "BEGIN ISOLATION LEVEL …", because the default may be another.
        self.isolation_level = IsolationLevel.READ_COMMITTED

    @override
    def wait(self, gen: PQGen[RV], interval: float = _INTERVAL, timeout: float | None = None) -> RV:
        """Runs one exchange with the server; every method of psycopg that makes one calls this.

        Raises `ResponseTimeout` and `CircuitOpen`, and what the server replies.
        """
        if self.breaker.is_open:
            raise CircuitOpen
        try:
            return super().wait(gen, interval, timeout or self.response_timeout)
        except _WaitTimeout:
            self.breaker.open(self._probe, psycopg.Error)
            self.close()
            raise ResponseTimeout from None

    def ping(self) -> None:
        """Makes a round trip in at most two seconds. Raises psycopg's `OperationalError`."""
        timeout, self.response_timeout = self.response_timeout, _PING_TIMEOUT
        try:
            self.execute("SELECT 1")
        finally:
            self.response_timeout = timeout


def _probe_server(conninfo: str, options: dict[str, Any]) -> None:
    """Returns if the server responds, also by a refusal. Raises `OperationalError`."""
    started_at = monotonic()
    try:
        psycopg.connect(conninfo, **options).close()
    except psycopg.OperationalError:
        if monotonic() - started_at > _SLOW_CONNECT:
            raise
