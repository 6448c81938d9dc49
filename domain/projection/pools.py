"""Makes connection pools from URLs; those of a replicated Redis follow its primary."""

from collections import Counter
from contextlib import suppress
from threading import Lock, Thread
from time import monotonic
from typing import Any, override

from redis import Connection, RedisError, SSLConnection, UnixDomainSocketConnection
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from domain.projection.cluster_pool import AnyPool, ClusterPool
from domain.projection.redis_pool import CircuitBreakerPool, Pool
from domain.redis_url import CLUSTER, SENTINEL, SINGLE, Credentials, RedisUrl

_SENTINEL_TIMEOUT = 0.3  # seconds to connect to a Sentinel, and for its reply
# Seconds since the Sentinels were asked; see `_SentinelPool`.
_ASK_INTERVAL, _MAX_AGE = 0.25, 0.5


def make_pool(url: RedisUrl, *, server: str, **options: Any) -> AnyPool:
    """Returns a pool of connections to a server, to the primary that Sentinels name, or to the
    primaries of a Cluster.

    `server` names it in the log and the metrics; `options` are redis-py's.
    """
    if url.topology != CLUSTER:
        return _make_pool(url, server=server, **options)

    def open_pool(address: tuple[str, int]) -> Pool:
        node = url._replace(topology=SINGLE, hosts=[address])
        return _make_pool(node, server=server, **options)

    return ClusterPool(url.hosts, open_pool, has_tls=url.tls_options is not None)


def _make_pool(url: RedisUrl, *, server: str, **options: Any) -> Pool:
    options |= _login(url.credentials, url.tls_options) | {"server": server, "db": url.database}
    has_tls = url.tls_options is not None
    if url.topology == SENTINEL:
        kind = _SentinelTLSConnection if has_tls else _SentinelConnection
        return _SentinelPool(_Sentinels(url), kind, **options)
    if url.path:
        return CircuitBreakerPool(UnixDomainSocketConnection, path=url.path, **options)
    host, port = url.hosts[0]
    return CircuitBreakerPool(
        SSLConnection if has_tls else Connection, host=host, port=port, **options
    )


def _login(credentials: Credentials, tls_options: dict[str, str] | None) -> dict[str, Any]:
    username, password = credentials
    return {"username": username or None, "password": password or None, **(tls_options or {})}


class _Sentinels:
    """The Sentinels of a replicated server. Thread-safe.

    redis-py's `Sentinel` believes the first that replies, which may have been cut off or suspended
    while another primary took over. And threads that share it may drop one from its list.
    """

    def __init__(self, url: RedisUrl) -> None:
        self._last: tuple[str, int] | None = None
        self._command = "SENTINEL", "GET-MASTER-ADDR-BY-NAME", url.service_name
        # One that does not respond is not asked again until it does.
        self._pools = [
            CircuitBreakerPool(
                Connection if url.tls_options is None else SSLConnection,
                server="sentinel",
                host=host,
                port=port,
                socket_connect_timeout=_SENTINEL_TIMEOUT,
                socket_timeout=_SENTINEL_TIMEOUT,
                retry=Retry(NoBackoff(), 1, (RedisConnectionError,)),
                **_login(url.sentinel_credentials, url.tls_options),
            )
            for host, port in url.hosts
        ]

    def find_primary(self) -> tuple[str, int]:
        """Returns host and port that a majority of the Sentinels names, or else most of those that
        reply; the last one while none does. Raises redis-py's `ConnectionError` if none is known.
        """
        votes: Counter[tuple[str, int]] = Counter()
        for pool in self._pools:
            with suppress(RedisError):
                match pool.exchange([self._command]):
                    case [[bytes(host), bytes(port)]]:
                        address = host.decode(), int(port)
                        votes[address] += 1
                        if votes[address] > len(self._pools) // 2:
                            break
        if votes:
            self._last = votes.most_common(1)[0][0]
        elif self._last is None:
            raise RedisConnectionError("No Sentinel names a primary")
        return self._last


class _SentinelConnection(Connection):
    """A connection to the server that is the primary at the time."""

    def __init__(self, *, sentinels: _Sentinels, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]  # redis-py's
        self._sentinels = sentinels

    def _connect(self) -> Any:
        self.host, self.port = self._sentinels.find_primary()
        return super()._connect()  # type: ignore[no-untyped-call]  # the same


class _SentinelTLSConnection(_SentinelConnection, SSLConnection):
    """The same with TLS."""


class _SentinelPool(CircuitBreakerPool):
    """Connections to the primary, which are replaced when another server is that.

    After a failover the old primary accepts writes until Sentinel has demoted it, and loses them
    then. So no command is sent to a server that was not named as the primary `_MAX_AGE` seconds
    ago.
    """

    grace_period = _MAX_AGE + 1.0  # the longest timeout of a command that a client waits for

    def __init__(
        self, sentinels: _Sentinels, connection_class: type[_SentinelConnection], **options: Any
    ) -> None:
        super().__init__(connection_class, sentinels=sentinels, **options)
        self._sentinels = sentinels
        self._primary: tuple[str, int] | None = None
        self._asked_at = self._changed_at = float("-inf")
        self._asking = Lock()

    @override
    def get_connection(self, *args: Any, **kwargs: Any) -> Any:
        age = monotonic() - self._asked_at
        if age > _MAX_AGE:
            with self._asking:
                if monotonic() - self._asked_at > _MAX_AGE:
                    self._ask()
        elif age > _ASK_INTERVAL and self._asking.acquire(blocking=False):
            # In the background, because a Sentinel may not respond.
            Thread(target=self._ask_and_release, daemon=True).start()
        return super().get_connection()

    @override
    def seconds_until_settled(self) -> float:
        return max(0.0, self._changed_at + self.grace_period - monotonic())

    def _ask_and_release(self) -> None:
        try:
            self._ask()
        finally:
            self._asking.release()

    def _ask(self) -> None:
        asked_at = monotonic()
        with suppress(RedisConnectionError):  # without Sentinels nothing changes
            primary = self._sentinels.find_primary()
            if self._primary not in (None, primary):
                self._changed_at = monotonic()
                self.reconnect()
                self.close_circuit()
            self._primary = primary
        self._asked_at = asked_at
