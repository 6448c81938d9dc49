"""A Redis that fails over as managed services have it: its address stays."""

from contextlib import ExitStack
from pathlib import Path
from typing import Self

from redis import Redis

from local.servers import Valkey
from local.tcp_ports import HOST
from tests.support.client import wait_until
from tests.support.forwarder import Forwarder


class Replicated:
    """A Redis with a replica behind one address; `fail_over` makes the replica the primary."""

    def __init__(self, folder: Path, name: str) -> None:
        self.servers = [Valkey(folder / part, name) for part in ("a", "b")]
        self._entered = ExitStack()

    def __enter__(self) -> Self:
        primary, replica = (self._entered.enter_context(server) for server in self.servers)
        self._address = self._entered.enter_context(Forwarder(primary.port))
        self.url = f"redis://{HOST}:{self._address.port}/0"
        self.primary, self._replica = (
            self._entered.enter_context(Redis.from_url(server.url)) for server in (primary, replica)
        )
        self._replica.replicaof(HOST, primary.port)
        self._replica_port = replica.port
        return self

    def __exit__(self, *_: object) -> None:
        self._entered.close()

    def fail_over(self) -> None:
        """Demotes the primary, which keeps its connections; new ones reach the other server."""
        demoted, self.primary = self.primary, self._replica
        wait_until(lambda: self.primary.info("replication")["master_link_status"] == "up")
        self.primary.replicaof("NO", "ONE")
        demoted.replicaof(HOST, self._replica_port)
        self._address.target = self._replica_port
