"""What can break, how it is repaired, and what clients may see: docs/faults.md."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from random import Random

from loadtests.faults import signals
from loadtests.faults.checks import ALL, WRITES
from loadtests.faults.ledger import ENDS, READ
from loadtests.faults.plant import Plant
from loadtests.faults.providers import FAILS, HANGS, WORKS

type Step = Callable[[Plant], None]
type Statuses = Mapping[str, Collection[int]]

UNAVAILABLE = frozenset({503})
NOTHING: Statuses = {}
_READS_503 = {READ: UNAVAILABLE}
WRITES_503 = dict.fromkeys((*WRITES, *ENDS), UNAVAILABLE)
WITHOUT_PROFILES = dict.fromkeys((READ, *ENDS), UNAVAILABLE)
NO_ANSWER = dict.fromkeys(ALL, frozenset({0, 503}))
# A session end that is answered before Redis has it.
NO_ENDS = dict.fromkeys(ENDS, frozenset({204, 401}))
# Seconds after the return of the profile Redis in which a read may be older than a write. The
# design has two, on a machine that is not busy.
STALE = 5.0
_STUTTER = 6.0  # seconds


@dataclass(frozen=True)
class Fault:
    """A fault: `row` of section 5, what is allowed and denied while it lasts, and its two steps.

    It lasts for a time between the two of `hold`, in seconds; `stale`: for how long after the
    repair a read may be older than a write; `after` is done once the service has healed.
    """

    name: str
    row: str
    allows: Statuses
    inject: Step
    repair: Step
    hold: tuple[float, float] = (1.0, 4.0)
    denies: Statuses = field(default_factory=dict)
    stale: float = 0.0
    after: Step = field(default=lambda _: None)


def _kill(name: str) -> Step:
    return lambda plant: signals.kill(plant.part(name))


def _freeze(name: str) -> Step:
    return lambda plant: signals.suspend(plant.part(name))


def _thaw(name: str) -> Step:
    return lambda plant: signals.resume(plant.part(name))


def _terminate(name: str) -> Step:
    return lambda plant: plant.part(name).stop(timeout=25)


def _start(name: str) -> Step:
    return lambda plant: plant.part(name).start()


def _kill_child(name: str) -> Step:
    return lambda plant: signals.kill_child(plant.part(name), int(time.monotonic()))


def _stutter(name: str) -> Step:
    return lambda plant: signals.stutter(plant.part(name), _STUTTER)


def _providers(mode: str) -> Step:
    def step(plant: Plant) -> None:
        plant.providers.mode = mode

    return step


def nothing(plant: Plant) -> None:
    """Repairs nothing: the service does by itself."""


def _start_empty(plant: Plant) -> None:
    plant.remove_profiles()
    plant.profiles.start()


def _start_older(plant: Plant) -> None:
    plant.restore_snapshot()
    plant.profiles.start()


def _fill(plant: Plant) -> None:
    with plant.redis() as redis:
        redis.config_set("maxmemory", redis.info("memory")["used_memory"])


def _grow(plant: Plant) -> None:
    with plant.redis() as redis:
        redis.config_set("maxmemory", 0)


def _of_process(
    name: str, row: str, allows: Statuses, denies: Statuses, stale: float = 0.0
) -> list[Fault]:
    """Returns a process' faults: killed, suspended, stopped; each time it returns as it was."""
    short, long = (1.0, 4.0), (2.0, 12.0)
    return [
        Fault(f"{name}: kill -9", row, allows, _kill(name), _start(name), short, denies, stale),
        Fault(
            f"{name}: SIGTERM", row, allows, _terminate(name), _start(name), short, denies, stale
        ),
        Fault(f"{name}: SIGSTOP", row, allows, _freeze(name), _thaw(name), long, denies, stale),
    ]


def _redis_returns(name: str, row: str, repair: Step) -> Fault:
    """Returns the fault that the profile Redis is killed and returns in another state."""
    inject = _kill("profiles")
    return Fault(name, row, WITHOUT_PROFILES, inject, repair, denies=NO_ENDS, stale=STALE)


_WRITE, _READ = "the write process, killed, hung or full", "a read process, killed"
_WORKER, _REDEPLOY = (
    "a worker or the relay, killed",
    "any process, stopped gracefully or redeployed",
)
_PROVIDERS = "SendGrid or Vonage"
QUEUE = _of_process("queue", "queue Redis", NOTHING, NOTHING)
EVERYWHERE = [
    *_of_process("write", _WRITE, WRITES_503, NOTHING),
    *_of_process("worker", _WORKER, NOTHING, NOTHING),
    *_of_process("relay", _WORKER, NOTHING, NOTHING),
    *_of_process("read", _READ, NO_ANSWER, NOTHING),
    Fault("write: kill -9 of one", _WRITE, WRITES_503, _kill_child("write"), nothing),
    Fault("read: kill -9 of one", _READ, NO_ANSWER, _kill_child("read"), nothing),
    Fault("write: stutters", "none", NOTHING, _stutter("write"), nothing),
    Fault("worker: stutters", "none", NOTHING, _stutter("worker"), nothing),
    Fault("providers: 500", _PROVIDERS, NOTHING, _providers(FAILS), _providers(WORKS)),
    Fault("providers: hang", _PROVIDERS, NOTHING, _providers(HANGS), _providers(WORKS), (2, 12)),
]
POSTGRES = _of_process("postgres", "Postgres, stopped, or hung", WRITES_503, NOTHING)
_WITH_ALL = "profile Redis, back with all its data"
PROFILES = [
    *_of_process("profiles", _WITH_ALL, WITHOUT_PROFILES, NO_ENDS, STALE),
    _redis_returns("profiles: empty", "profile Redis, back empty", _start_empty),
    _redis_returns("profiles: older data", "profile Redis, back with older data", _start_older),
    Fault("profiles: full", "profile Redis, full", _READS_503, _fill, _grow, stale=STALE),
]
SINGLE = [*EVERYWHERE, *QUEUE, *POSTGRES, *PROFILES]


def schedule(faults: list[Fault], seed: int, count: int) -> list[Fault]:
    """Returns `count` faults in the order of a seed. Seeds in sequence take turns: each fault comes
    before any comes again.
    """
    chosen: list[Fault] = []
    position = seed * count
    while len(chosen) < count:
        round_number, index = divmod(position, len(faults))
        deck = list(faults)
        Random(round_number).shuffle(deck)
        chosen.append(deck[index])
        position += 1
    return chosen
