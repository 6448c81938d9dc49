"""Failovers of Redis Sentinel and of Redis Cluster: a primary is replaced by its replica."""

import time
from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import override

from redis import RedisError

from loadtests.faults import signals
from loadtests.faults.faults import NOTHING, STALE, WITHOUT_PROFILES, Fault, Step, nothing
from loadtests.faults.plant import Plant
from local.processes import Process, StackError
from local.redis_topologies import SERVICE_NAME, SentinelGroup, ValkeyCluster
from local.replicated_valkey import FORMATION_TIMEOUT, ReplicatedValkey, Topology
from local.tcp_ports import HOST

_PROMOTION_TIMEOUT = 30.0  # seconds
_LAG = 2.0  # seconds of writes that a promoted replica lacks


class Replicated(Topology):
    """Servers of which one primary at a time is broken; `broken` is what was broken last."""

    broken: Process

    @abstractmethod
    def choose(self) -> tuple[ReplicatedValkey, ReplicatedValkey]:
        """Returns a primary and its replica."""

    @abstractmethod
    def is_promoted(self) -> bool:
        """Returns whether another server has replaced the broken primary."""

    @abstractmethod
    def request_failover(self, replica: ReplicatedValkey) -> None:
        """Has a replica replace its healthy primary, synchronised or not. Raises `RedisError`."""

    def demote_broken(self) -> None:
        """Has the server that was replaced know of it, if it is not notified at once."""

    def wait_for_promotion(self) -> None:
        """Returns once another server has replaced the broken one. Raises `StackError`."""
        self._wait(self.is_promoted)

    def fail_over(self) -> None:
        """Replaces a healthy primary by its replica. Raises `StackError`."""
        self.broken, replica = self.choose()

        def is_accepted() -> bool:
            self.request_failover(replica)  # an error while the one before is not complete
            return True

        self._wait(is_accepted)
        self.wait_for_promotion()

    def forbid_synchronisation(self) -> None:
        """Neither of both follows the other from now on, whatever its role is."""
        for server in self.choose():
            server.call("CONFIG", "SET", "primaryauth", "none")  # which no primary accepts
            server.call("CLIENT", "KILL", "TYPE", "primary")

    def allow_synchronisation(self) -> None:
        """Ends `forbid_synchronisation` for the servers that run."""
        for server in self.servers:
            with suppress(RedisError):
                server.call("CONFIG", "SET", "primaryauth", "")

    @staticmethod
    def _wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PROMOTION_TIMEOUT
        while time.monotonic() < deadline:
            with suppress(RedisError):
                if condition():
                    return
            time.sleep(0.02)  # the state of other processes: there is no event to await
        raise StackError(f"no replica was promoted in {_PROMOTION_TIMEOUT:g} s")


class SentinelService(SentinelGroup, Replicated):
    """A group of Redis Sentinel."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "sentinel")

    @override
    def choose(self) -> tuple[ReplicatedValkey, ReplicatedValkey]:
        primary = self.primary()
        return primary, next(server for server in self.servers if server is not primary)

    @override
    def is_promoted(self) -> bool:
        return self.primary() is not self.broken

    @override
    def demote_broken(self) -> None:
        # As Sentinel does after 8 seconds.
        demoted = next(server for server in self.servers if server is self.broken)
        demoted.call("REPLICAOF", HOST, self.primary().port)

    @override
    def request_failover(self, replica: ReplicatedValkey) -> None:
        self.sentinels[0].call("SENTINEL", "FAILOVER", SERVICE_NAME)


class ClusterService(ValkeyCluster, Replicated):
    """A Redis Cluster, of which the shard of the first slots is broken."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "cluster")

    @override
    def choose(self) -> tuple[ReplicatedValkey, ReplicatedValkey]:
        one, other = self.servers[0], self.servers[len(self.servers) // 2]
        return (one, other) if one.info()["role"] == "master" else (other, one)

    @override
    def is_promoted(self) -> bool:
        shard = self.servers[0], self.servers[len(self.servers) // 2]
        (other,) = (server for server in shard if server is not self.broken)
        return bool(other.info()["role"] == "master")

    @override
    def request_failover(self, replica: ReplicatedValkey) -> None:
        replica.call("CLUSTER", "FAILOVER", "TAKEOVER")


def _servers(plant: Plant) -> Replicated:
    servers = plant.servers
    assert isinstance(servers, Replicated)  # noqa: S101  # for mypy: these topologies have them
    return servers


def _kill_primary(plant: Plant) -> None:
    servers = _servers(plant)
    servers.broken, _ = servers.choose()
    signals.kill(servers.broken)


def _kill_primary_ahead_of_its_replica(plant: Plant) -> None:
    servers = _servers(plant)
    servers.forbid_synchronisation()
    time.sleep(_LAG)  # the fault itself: so many seconds are not replicated
    _kill_primary(plant)
    servers.allow_synchronisation()


def _suspend_primary(plant: Plant) -> None:
    servers = _servers(plant)
    servers.broken, _ = servers.choose()
    signals.suspend(servers.broken)


def _kill_replica(plant: Plant) -> None:
    servers = _servers(plant)
    _, servers.broken = servers.choose()
    signals.kill(servers.broken)


def _kill_monitor(plant: Plant) -> None:
    servers = _servers(plant)
    servers.broken = servers.processes[-1]
    signals.kill(servers.broken)


def _wait_for_promotion(plant: Plant) -> None:
    _servers(plant).wait_for_promotion()


def _fail_over(plant: Plant) -> None:
    _servers(plant).fail_over()


def _fail_over_unsynchronised(plant: Plant) -> None:
    servers = _servers(plant)
    servers.forbid_synchronisation()
    servers.fail_over()
    servers.demote_broken()


def _restart(plant: Plant) -> None:
    _servers(plant).broken.start()
    _wait_until_healthy(plant)


def _resume(plant: Plant) -> None:
    signals.resume(_servers(plant).broken)
    _wait_until_healthy(plant)


def _wait_until_healthy(plant: Plant) -> None:
    servers = _servers(plant)
    servers.allow_synchronisation()
    servers.wait_until_healthy(FORMATION_TIMEOUT)


_OLDER, _DEMOTED = "profile Redis, back with older data", "profile Redis, demoted to a replica"


def _failover(name: str, row: str, inject: Step, repair: Step, after: Step, hold: float) -> Fault:
    name, holds = f"profiles: {name}", (hold / 2, hold)
    return Fault(name, row, WITHOUT_PROFILES, inject, repair, holds, stale=STALE, after=after)


REDIS_FAILOVERS = [
    _failover("primary killed", _OLDER, _kill_primary, _wait_for_promotion, _restart, 0.8),
    _failover("primary suspended", _OLDER, _suspend_primary, _wait_for_promotion, _resume, 0.8),
    _failover("failover", _DEMOTED, _fail_over, nothing, _wait_until_healthy, 1.0),
    _failover(
        "failover with lag", _OLDER,
        _kill_primary_ahead_of_its_replica, _wait_for_promotion, _restart, 0.8,
    ),
    _failover(
        "there and back without synchronisation", _DEMOTED,
        _fail_over_unsynchronised, _fail_over, _wait_until_healthy, 3.0,
    ),
    Fault("profiles: replica killed", "none", NOTHING, _kill_replica, _restart),
]  # fmt: skip  # a table
SENTINEL = [
    *REDIS_FAILOVERS,
    Fault("profiles: one sentinel killed", "none", NOTHING, _kill_monitor, _restart),
]
