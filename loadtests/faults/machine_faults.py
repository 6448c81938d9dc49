"""Faults of the machine: its network, its disks and its clocks."""

from loadtests.faults.faults import (
    NO_ANSWER,
    NO_ENDS,
    NOTHING,
    STALE,
    WITHOUT_PROFILES,
    WRITES_503,
    Fault,
    Statuses,
    Step,
)
from loadtests.faults.machine import CLOCK, ISOLATION, Machine, set_clock, skipped
from loadtests.faults.plant import Plant

_STOP_TIMEOUT = 25.0  # seconds


def _machine(plant: Plant) -> Machine:
    machine = plant.servers
    assert isinstance(machine, Machine)  # noqa: S101  # for mypy: this topology has it
    return machine


def _cut_network(plant: Plant) -> None:
    _machine(plant).network.set_connected(False)


def _repair_network(plant: Plant) -> None:
    _machine(plant).network.set_connected(True)


def _fill_disk(name: str) -> Step:
    return lambda plant: _machine(plant).fill_disk(name)


def _free_disk(name: str) -> Step:
    def step(plant: Plant) -> None:
        _machine(plant).free_disk(name)
        part = plant.part(name)
        if part.wait():  # it has given up
            part.start()

    return step


def _restart_with_clock(name: str, offset: str) -> Step:
    def step(plant: Plant) -> None:
        process = plant.part(name)
        process.stop(_STOP_TIMEOUT)
        set_clock(process, offset)
        process.start()

    return step


def _clock(name: str, offset: str, allows: Statuses) -> Fault:
    # The statuses are those of the restarts.
    inject, repair = _restart_with_clock(name, offset), _restart_with_clock(name, "")
    return Fault(f"{name}: clock {offset}", "none", allows, inject, repair, (3.0, 6.0))


_CLOCKS = [
    _clock("read", "+1h", NO_ANSWER),
    _clock("read", "-1h", NO_ANSWER),
    _clock("write", "+1h", WRITES_503),
    _clock("write", "-1h", WRITES_503),
    _clock("worker", "+1h", NOTHING),
    _clock("relay", "-1h", NOTHING),
]
_ISOLATED = [
    Fault(
        "profiles: network cut", "profile Redis, slow or frozen", WITHOUT_PROFILES,
        _cut_network, _repair_network, (1.0, 8.0), NO_ENDS, STALE,
    ),
    Fault(
        "profiles: disk full", "profile Redis, full", WITHOUT_PROFILES,
        _fill_disk("profiles"), _free_disk("profiles"), (2.0, 5.0), stale=STALE,
    ),
    Fault(
        "postgres: disk full", "Postgres, stopped, or hung", WRITES_503,
        _fill_disk("postgres"), _free_disk("postgres"), (2.0, 5.0),
    ),
]  # fmt: skip  # a table


def machine_faults() -> list[Fault]:
    """Returns the faults that this machine can have."""
    clocks = [] if CLOCK in skipped() else _CLOCKS
    return clocks if ISOLATION in skipped() else [*_ISOLATED, *clocks]
