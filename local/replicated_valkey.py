"""Valkey servers that replicate one another: what Redis Sentinel and Redis Cluster share."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Self, override

from redis import Redis, RedisError

from local.processes import StackError, stop_all
from local.servers import Valkey
from local.tcp_ports import HOST

FORMATION_TIMEOUT = 60.0  # seconds until all servers know each other


class ReplicatedValkey(Valkey):
    """A server whose role and peers are kept in a configuration file, as Sentinel rewrites it."""

    arguments: tuple[str, ...] = ()

    @override
    def prepare(self) -> None:
        super().prepare()
        config = self.folder / "valkey.conf"
        if not config.exists():
            config.write_text(self.initial_config())
        position = self.argv.index("--port")  # options after the file take precedence
        self.argv[position:position] = [str(config), *self.arguments]

    def initial_config(self) -> str:
        """Returns what the configuration file has at the first start."""
        return ""

    def call(self, *command: Any) -> Any:
        """Returns the reply to a command. Raises `RedisError`."""
        with Redis(host=HOST, port=self.port, socket_timeout=5, decode_responses=True) as redis:
            return redis.execute_command(*command)

    def info(self) -> dict[str, Any]:
        """Returns the section `replication` of INFO. Raises `RedisError`."""
        info: dict[str, Any] = self.call("INFO", "replication")
        return info


class Topology(ABC):
    """Several servers that are started and stopped together, after which their ports stay theirs.

    `servers` store data; `url` is for REDIS_URL.
    """

    servers: list[ReplicatedValkey]

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL for clients."""

    @abstractmethod
    def is_healthy(self) -> bool:
        """Returns whether each server has its role, and replicas are connected and synchronised.

        Raises `RedisError` if one does not respond.
        """

    @property
    def processes(self) -> list[ReplicatedValkey]:
        """All processes: `servers` first, then those that store no data."""
        return self.servers

    def start(self) -> None:
        """Starts all servers; returns when replicas have the data of their primaries.

        Raises `StackError`, with all stopped again, if this takes longer than 60 s.
        """
        with ExitStack() as stack:
            stack.callback(self.stop)
            for server in self.servers:
                server.start()
            self._connect()
            for monitor in self.processes[len(self.servers) :]:
                monitor.start()  # now: a sentinel asks a primary for its replicas every 10 s
            self.wait_until_healthy(FORMATION_TIMEOUT)
            stack.pop_all()

    def stop(self) -> None:
        """Stops all servers; kills what has not exited after 10 s."""
        stop_all(self.processes)

    def wait_until_healthy(self, timeout: float) -> None:
        """Returns once `is_healthy()`. Raises `StackError` after `timeout` seconds."""
        wait_until(self.is_healthy, timeout, f"{type(self).__name__} is not healthy")

    @abstractmethod
    def _connect(self) -> None:
        """Makes the servers known to each other, unless they are already."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def is_linked(server: ReplicatedValkey) -> bool:
    """Returns whether a server is a primary, or a replica with a connection and all data."""
    info = server.info()
    return bool(info["role"] == "master" or info["master_link_status"] == "up")


def wait_until(condition: Callable[[], bool], timeout: float, error: str) -> None:
    """Returns once the condition is true; `RedisError` counts as false. Raises `StackError`."""
    deadline = time.monotonic() + timeout
    reason: object = ""
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except RedisError as raised:
            reason = raised
        time.sleep(0.05)  # the state of several servers: there is no event to await
    raise StackError(f"{error} after {timeout:g} s {reason}")
