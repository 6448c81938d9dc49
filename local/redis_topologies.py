"""Redis Sentinel and Redis Cluster on this machine, of Valkey servers.

    with SentinelGroup(folder) as group:
        group.url           # redis+sentinel://127.0.0.1:…,127.0.0.1:…,127.0.0.1:…/profiles
        group.primary()     # the server that Sentinel names as the primary now

They are for tests and for `make faults`: a dead primary is replaced within a few seconds.
"""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import override

from redis import RedisError

from local.replicated_valkey import FORMATION_TIMEOUT, Topology, is_linked, wait_until
from local.replicated_valkey import ReplicatedValkey as ReplicatedValkey  # it is in our signatures
from local.servers import Valkey
from local.tcp_ports import HOST, find_free_port

SERVICE_NAME = "profiles"
SLOTS = 16_384
_DETECTION_MS = 1_000  # without a reply for so long, a server counts as down
_REPLICATION = {
    "repl-diskless-sync-delay": "0",
    "repl-ping-replica-period": "1",
    "repl-timeout": "5",
}


class _Sentinel(ReplicatedValkey):
    """A sentinel, which monitors `primary`."""

    arguments = ("--sentinel",)

    def __init__(self, data_dir: Path, name: str, primary: Valkey) -> None:
        super().__init__(data_dir, name)
        self._primary_port = primary.port

    @override
    def prepare(self) -> None:
        super().prepare()
        end = self.argv.index("--sentinel") + 1
        self.argv[end:] = ["--port", str(self.port)]  # the others are refused by a sentinel

    @override
    def initial_config(self) -> str:
        return (
            f"bind {HOST}\ndir {self.folder}\n"
            f"sentinel monitor {SERVICE_NAME} {HOST} {self._primary_port} 2\n"
            f"sentinel down-after-milliseconds {SERVICE_NAME} {_DETECTION_MS}\n"
            f"sentinel failover-timeout {SERVICE_NAME} {_DETECTION_MS * 5}\n"
        )


class SentinelGroup(Topology):
    """A primary, its replica and three sentinels."""

    def __init__(self, data_dir: Path) -> None:
        self.servers = [
            ReplicatedValkey(data_dir, f"{SERVICE_NAME}-{number}", _REPLICATION)
            for number in (1, 2)
        ]
        self.sentinels = [
            _Sentinel(data_dir, f"{SERVICE_NAME}-sentinel-{number}", self.servers[0])
            for number in (1, 2, 3)
        ]

    @property
    @override
    def url(self) -> str:
        hosts = ",".join(f"{HOST}:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE_NAME}"

    @property
    @override
    def processes(self) -> list[ReplicatedValkey]:
        return [*self.servers, *self.sentinels]

    def primary(self) -> ReplicatedValkey:
        """Returns the server that the sentinels name. Raises `RedisError` if none responds."""
        for sentinel in self.sentinels:
            with suppress(RedisError):
                address = sentinel.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE_NAME)
                port = int(address[1])
                return next(server for server in self.servers if server.port == port)
        raise RedisError("no sentinel responds")

    @override
    def is_healthy(self) -> bool:
        primary = self.primary()
        replicas = [each for each in self.servers if each is not primary]
        return all(_follows(each, primary) for each in replicas) and all(
            self._is_complete(sentinel) for sentinel in self.sentinels
        )

    def _is_complete(self, sentinel: ReplicatedValkey) -> bool:
        """Returns whether a sentinel would agree to a failover: it knows all others."""
        state = sentinel.call("SENTINEL", "MASTER", SERVICE_NAME)
        return bool(
            int(state["num-slaves"]) == len(self.servers) - 1
            and int(state["num-other-sentinels"]) == len(self.sentinels) - 1
            and state["flags"] == "master"
        )

    @override
    def _connect(self) -> None:
        if any((server.folder / "linked").exists() for server in self.servers):
            return
        for replica in self.servers[1:]:
            replica.call("REPLICAOF", HOST, self.servers[0].port)
            replica.call("CONFIG", "REWRITE")
            (replica.folder / "linked").touch()


class ValkeyCluster(Topology):
    """A Redis Cluster: primaries with equal parts of the slots, and a replica of each."""

    def __init__(
        self,
        data_dir: Path,
        name: str = SERVICE_NAME,
        *,
        primaries: int = 3,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self._primaries = primaries
        self.servers = []
        self._bus_ports: list[int] = []
        for number in range(1, 2 * primaries + 1):
            self._bus_ports.append(find_free_port())
            own = _REPLICATION | {
                "cluster-enabled": "yes",
                "cluster-port": str(self._bus_ports[-1]),
                "cluster-node-timeout": str(_DETECTION_MS),
                "cluster-require-full-coverage": "no",
                "cluster-allow-replica-migration": "no",
                "cluster-replica-validity-factor": "0",  # also a replica with old data takes over
            }
            server = ReplicatedValkey(data_dir, f"{name}-{number}", own | dict(options or {}))
            self.servers.append(server)

    @property
    @override
    def url(self) -> str:
        hosts = ",".join(f"{HOST}:{server.port}" for server in self.servers[: self._primaries])
        return f"redis+cluster://{hosts}"

    def slot_ranges(self) -> list[tuple[int, int]]:
        """Returns the first and the last slot of each primary, as they were created."""
        size = SLOTS / self._primaries
        bounds = [round(number * size) for number in range(self._primaries + 1)]
        return [(bounds[i], bounds[i + 1] - 1) for i in range(self._primaries)]

    @override
    def is_healthy(self) -> bool:
        return all(self._knows_all(server) for server in self.servers) and all(
            is_linked(server) for server in self.servers
        )

    def _knows_all(self, server: ReplicatedValkey) -> bool:
        state = _cluster_info(server)
        return bool(
            state["cluster_state"] == "ok"
            and int(state["cluster_slots_ok"]) == SLOTS
            and int(state["cluster_known_nodes"]) == len(self.servers)
            and int(state["cluster_size"]) == self._primaries
        )

    @override
    def _connect(self) -> None:
        first = self.servers[0]
        if int(_cluster_info(first)["cluster_known_nodes"]) > 1:
            return  # it was created by an earlier start; nodes.conf has it
        for server, slots in zip(self.servers, self.slot_ranges(), strict=False):
            server.call("CLUSTER", "ADDSLOTSRANGE", *slots)
        for number, server in enumerate(self.servers, start=1):
            server.call("CLUSTER", "SET-CONFIG-EPOCH", number)
        for server, bus_port in list(zip(self.servers, self._bus_ports, strict=True))[1:]:
            first.call("CLUSTER", "MEET", HOST, server.port, bus_port)
        for number, replica in enumerate(self.servers[self._primaries :]):
            node_id = self.servers[number].call("CLUSTER", "MYID")
            wait_until(
                partial(_replicate, replica, node_id), FORMATION_TIMEOUT, f"{node_id} is unknown"
            )


def _cluster_info(server: ReplicatedValkey) -> dict[str, str]:
    lines = str(server.call("CLUSTER", "INFO")).split()
    return dict(line.split(":", 1) for line in lines)


def _follows(server: ReplicatedValkey, primary: ReplicatedValkey) -> bool:
    return is_linked(server) and server.info().get("master_port") == primary.port


def _replicate(replica: ReplicatedValkey, node_id: str) -> bool:
    replica.call("CLUSTER", "REPLICATE", node_id)  # an error until it knows the node by gossip
    return True
