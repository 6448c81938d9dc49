"""The topologies: which servers a service runs on, and what can break there."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.faults.faults import EVERYWHERE, POSTGRES, PROFILES, QUEUE, SINGLE, Fault
from loadtests.faults.machine import Machine, skipped
from loadtests.faults.machine_faults import machine_faults
from loadtests.faults.postgres_failovers import PAIR
from loadtests.faults.redis_failovers import (
    REDIS_FAILOVERS,
    SENTINEL,
    ClusterService,
    SentinelService,
)
from local.postgres_pair import PostgresPair


@dataclass
class Topology:
    """`faults` are what can break; `servers` makes the servers, in a folder, that the service does
    not start itself, `settings` returns their URLs; `skipped` is what cannot be done here, and why.
    """

    faults: Callable[[], list[Fault]]
    servers: Callable[[Path], AbstractContextManager[Any]] = lambda _: nullcontext()
    settings: Callable[[Any], Mapping[str, str]] = lambda _: {}
    skipped: Callable[[], Mapping[str, str]] = dict


TOPOLOGIES = {
    "single": Topology(
        lambda: [*SINGLE, *machine_faults()],
        Machine,
        lambda machine: machine.settings,
        skipped,
    ),
    # The group has both, profiles and queue.
    "sentinel": Topology(
        lambda: [*SENTINEL, *EVERYWHERE, *POSTGRES],
        SentinelService,
        lambda group: {"REDIS_URL": group.url, "QUEUE_URL": f"{group.url}?db=1"},
    ),
    "cluster": Topology(
        lambda: [*REDIS_FAILOVERS, *EVERYWHERE, *QUEUE, *POSTGRES],
        ClusterService,
        lambda cluster: {"REDIS_URL": cluster.url},
    ),
    "pair": Topology(
        lambda: [*PAIR, *EVERYWHERE, *QUEUE, *PROFILES],
        lambda folder: PostgresPair(folder / "pair", durable=False),
        lambda pair: {"DATABASE_URL": pair.url},
    ),
}
