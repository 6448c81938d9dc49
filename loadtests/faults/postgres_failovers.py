"""Failovers of a Postgres pair: the primary is replaced by its synchronous standby."""

from loadtests.faults import signals
from loadtests.faults.faults import WRITES_503, Fault, Step, nothing
from loadtests.faults.plant import Plant
from local.postgres_pair import PostgresPair


def _pair(plant: Plant) -> PostgresPair:
    pair = plant.servers
    assert isinstance(pair, PostgresPair)  # noqa: S101  # for mypy: this topology has it
    return pair


def _kill_primary(plant: Plant) -> None:
    signals.kill(_pair(plant).primary)


def _suspend_primary(plant: Plant) -> None:
    signals.suspend(_pair(plant).primary)


def _start_primary(plant: Plant) -> None:
    _pair(plant).primary.start()


def _kill_standby(plant: Plant) -> None:
    signals.kill(_pair(plant).standby)


def _promote(plant: Plant) -> None:
    pair = _pair(plant)
    if pair.primary.is_running:
        signals.kill(pair.primary)  # with its suspended children, which would not see its end
    pair.promote()


def _restore(plant: Plant) -> None:
    _pair(plant).restore_standby()


def _fault(
    name: str, inject: Step, repair: Step, after: Step = nothing, hold: float = 4.0
) -> Fault:
    row, holds = "Postgres, stopped, or hung", (hold / 4, hold)
    return Fault(f"postgres: {name}", row, WRITES_503, inject, repair, holds, after=after)


PAIR = [
    _fault("primary killed, standby promoted", _kill_primary, _promote, _restore),
    _fault("primary suspended, standby promoted", _suspend_primary, _promote, _restore, 8.0),
    _fault("primary killed and restarted", _kill_primary, _start_primary),
    _fault("standby killed", _kill_standby, _restore),
]
