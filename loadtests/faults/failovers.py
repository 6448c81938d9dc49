"""Failovers of replicated servers: Redis Sentinel, and a Postgres pair."""

import time
from pathlib import Path

from redis import RedisError

from loadtests.faults import signals
from loadtests.faults.faults import (
    NOTHING,
    STALE,
    WITHOUT_PROFILES,
    WRITES_503,
    Fault,
    Step,
    nothing,
)
from loadtests.faults.plant import Plant
from local.postgres_pair import PostgresPair
from local.processes import Process, StackError
from local.redis_topologies import SERVICE_NAME, ReplicatedValkey, SentinelGroup

_PROMOTION_TIMEOUT = 30.0  # seconds
_FORMATION_TIMEOUT = 60.0


# --- Sentinel --------------------------------------------------------------------------------


class SentinelService(SentinelGroup):
    """A group whose primary is broken, and replaced by its replica."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "sentinel")
        self.broken: Process = self.servers[0]  # the primary before the last failover

    def replica(self) -> ReplicatedValkey:
        """Returns a server that is not the primary."""
        return next(server for server in self.servers if server is not self.primary())

    def cut_replication(self, server: ReplicatedValkey) -> None:
        """Lets a server replicate from none, now and after its demotion."""
        server.call("CONFIG", "SET", "primaryauth", "none")
        server.call("CLIENT", "KILL", "TYPE", "primary")

    def wait_for_promotion(self) -> None:
        """Returns once another server is the primary. Raises `StackError`."""
        deadline = time.monotonic() + _PROMOTION_TIMEOUT
        while self.primary() is self.broken:
            if time.monotonic() > deadline:
                raise StackError(f"no replica was promoted in {_PROMOTION_TIMEOUT:g} s")
            time.sleep(0.02)  # the state of another process: there is no event to await

    def fail_over(self) -> None:
        """Has Sentinel replace a healthy primary. Raises `StackError`."""
        self.broken = self.primary()
        deadline = time.monotonic() + _PROMOTION_TIMEOUT
        while True:
            try:
                self.sentinels[0].call("SENTINEL", "FAILOVER", SERVICE_NAME)
                break
            except RedisError as error:  # the one before is not complete
                if time.monotonic() > deadline:
                    raise StackError(f"SENTINEL FAILOVER: {error}") from error
                time.sleep(0.2)
        self.wait_for_promotion()


def _group(plant: Plant) -> SentinelService:
    group = plant.servers
    assert isinstance(group, SentinelService)  # noqa: S101  # for mypy: this topology has it
    return group


def _kill_primary(plant: Plant) -> None:
    group = _group(plant)
    group.broken = group.primary()
    signals.kill(group.broken)


def _kill_primary_before_its_replica_has_all(plant: Plant) -> None:
    group = _group(plant)
    replica = group.replica()
    group.cut_replication(replica)
    time.sleep(2.0)  # seconds of writes that are lost
    _kill_primary(plant)
    replica.call("CONFIG", "SET", "primaryauth", "")


def _suspend_primary(plant: Plant) -> None:
    group = _group(plant)
    group.broken = group.primary()
    signals.suspend(group.broken)


def _wait_for_promotion(plant: Plant) -> None:
    _group(plant).wait_for_promotion()


def _restart(plant: Plant) -> None:
    group = _group(plant)
    group.broken.start()
    group.wait_until_healthy(_FORMATION_TIMEOUT)


def _resume(plant: Plant) -> None:
    group = _group(plant)
    signals.resume(group.broken)
    group.wait_until_healthy(_FORMATION_TIMEOUT)


def _fail_over(plant: Plant) -> None:
    _group(plant).fail_over()


def _fail_over_without_synchronisation(plant: Plant) -> None:
    """The replica takes over, and neither follows the other from now on."""
    group = _group(plant)
    for server in group.servers:
        group.cut_replication(server)
    group.fail_over()


def _allow_synchronisation(plant: Plant) -> None:
    group = _group(plant)
    for server in group.servers:
        server.call("CONFIG", "SET", "primaryauth", "")
    group.wait_until_healthy(_FORMATION_TIMEOUT)


def _kill_replica(plant: Plant) -> None:
    group = _group(plant)
    group.broken = group.replica()
    signals.kill(group.broken)


def _kill_sentinel(plant: Plant) -> None:
    group = _group(plant)
    group.broken = group.sentinels[0]
    signals.kill(group.broken)


_FAILOVER, _DEMOTED = "profile Redis, back with older data", "profile Redis, demoted to a replica"


def _sentinel(name: str, row: str, inject: Step, repair: Step, after: Step, hold: float) -> Fault:
    # With a hold of less than the time in which Sentinel sees it.
    holds, name = (hold / 2, hold), f"sentinel: {name}"
    return Fault(name, row, WITHOUT_PROFILES, inject, repair, holds, stale=STALE, after=after)


_with_lag, _promoted = _kill_primary_before_its_replica_has_all, _wait_for_promotion
_unsynchronised = _fail_over_without_synchronisation
SENTINEL = [
    _sentinel("primary killed", _FAILOVER, _kill_primary, _promoted, _restart, 0.8),
    _sentinel("primary suspended", _FAILOVER, _suspend_primary, _promoted, _resume, 0.8),
    _sentinel("failover", _DEMOTED, _fail_over, nothing, _allow_synchronisation, 1.0),
    _sentinel("failover with lag", _FAILOVER, _with_lag, _promoted, _restart, 0.8),
    _sentinel("there and back", _DEMOTED, _unsynchronised, _fail_over, _allow_synchronisation, 3.0),
    Fault("sentinel: replica killed", "none", NOTHING, _kill_replica, _restart),
    Fault("sentinel: one sentinel killed", "none", NOTHING, _kill_sentinel, _restart),
]


# --- a Postgres pair -------------------------------------------------------------------------


def _pair(plant: Plant) -> PostgresPair:
    pair = plant.servers
    assert isinstance(pair, PostgresPair)  # noqa: S101  # for mypy: this topology has it
    return pair


def _kill_postgres(plant: Plant) -> None:
    signals.kill(_pair(plant).primary)


def _suspend_postgres(plant: Plant) -> None:
    signals.suspend(_pair(plant).primary)


def _start_postgres(plant: Plant) -> None:
    _pair(plant).primary.start()


def _kill_standby(plant: Plant) -> None:
    signals.kill(_pair(plant).standby)


def _promote(plant: Plant) -> None:
    _pair(plant).promote()


def _restore(plant: Plant) -> None:
    _pair(plant).restore_standby()


def _postgres(
    name: str, inject: Step, repair: Step, after: Step = nothing, hold: float = 4.0
) -> Fault:
    row, holds = "Postgres, stopped, or hung", (hold / 4, hold)
    return Fault(f"pair: {name}", row, WRITES_503, inject, repair, holds, after=after)


PAIR = [
    _postgres("primary killed, standby promoted", _kill_postgres, _promote, _restore),
    _postgres("primary suspended, standby promoted", _suspend_postgres, _promote, _restore, 8.0),
    _postgres("primary killed and restarted", _kill_postgres, _start_postgres),
    _postgres("standby killed", _kill_standby, _restore),
]
