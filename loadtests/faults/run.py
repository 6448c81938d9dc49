"""One seed: starts a service, breaks and repairs its parts under load, reconciles the ledger."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

import httpx

from loadtests.faults import checks
from loadtests.faults.checks import UNHEALED, Outcome, Violation, Window
from loadtests.faults.faults import Fault
from loadtests.faults.ledger import ENDS, READ, SIGN_UP, UNANSWERED, Ledger
from loadtests.faults.plant import MakeStack, Plant, make_stack
from loadtests.faults.topologies import TOPOLOGIES, Topology
from local.processes import StackError

_QUIET = 1.0  # seconds without a wrong answer, after which the service counts as healed
# Seconds to heal, or as a multiple of the time that the whole service took to start: processes that
# are restarted need a part of it, longer on a busy machine.
_HEAL_LIMIT, _HEAL_FACTOR = 10.0, 1.5
_GIVE_UP, _GIVE_UP_FACTOR = 60.0, 5.0
_SETTLE_TIMEOUT = 180.0  # seconds for all messages to go out; a failed one waits up to two minutes
PAUSE = (1.3, 2.5)  # seconds between two faults
_POLL = 0.1


@dataclass
class Report:
    """The result of a seed."""

    seed: int
    ledger: Ledger
    windows: list[Window] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    duplicates: int = 0
    traffic_end: float = UNANSWERED  # when the clients stopped

    @property
    def sign_ups(self) -> int:
        return sum(bool(person.id) for person in self.ledger.people)

    def count(self, *kinds: str) -> int:
        """Returns how many violations are of these kinds."""
        return sum(violation.kind in kinds for violation in self.violations)

    @property
    def longest_gap(self) -> float:
        return checks.longest_gap(self.ledger.entries, self.traffic_end)

    def time_to_heal(self, *kinds: str) -> float:
        """Returns the longest of all faults, in seconds."""
        times = (checks.time_to_heal(self.ledger.entries, w, kinds) for w in self.windows)
        return max(times, default=0.0)


def run(
    seed: int,
    faults: Iterable[Fault],
    folder: Path,
    *,
    rate: float = 1.5,
    read_rate: float = 50.0,
    topology: Topology = TOPOLOGIES["single"],
    new_stack: MakeStack = make_stack,
    pause: tuple[float, float] = PAUSE,
    show: Callable[[Report, str], None] = lambda _report, _text: None,
) -> Report:
    """Runs the faults one after another; `show` is called often, with what is broken now."""
    rng = Random(seed)
    with (
        topology.servers(folder) as servers,
        Plant(
            folder, seed, (rate, read_rate), servers, topology.settings(servers), new_stack
        ) as plant,
    ):
        report = Report(seed, plant.ledger)

        def wait(seconds: float, text: str) -> None:
            deadline = time.monotonic() + seconds
            while (remaining := deadline - time.monotonic()) > 0:
                plant.raise_client_error()
                show(report, text)
                time.sleep(min(_POLL, remaining))  # the fault lasts so long; the table is redrawn

        try:
            _wait_until_healed(plant, report, 0.0, lambda: wait(_POLL, "starting"))
            for fault in faults:
                plant.take_snapshot()
                wait(rng.uniform(*pause), "healthy")
                window = Window(fault.name, plant.ledger.now(), fault.allows, fault.denies)
                report.windows.append(window)
                _break(plant, report, fault, window, partial(wait, text=fault.name), rng)
            wait(_QUIET, "healthy")
            report.traffic_end = plant.ledger.now()
            plant.finish_clients(_SETTLE_TIMEOUT)
            outcome = _settle(plant, lambda: show(report, "reconciling"))
        except StackError as error:  # other seeds can be run
            report.traffic_end = plant.ledger.now()
            report.violations.append(Violation(UNHEALED, -1, str(error)))
            return report
    report.violations += checks.check(
        plant.ledger.entries, plant.ledger.people, report.windows, outcome
    )
    report.duplicates = checks.count_duplicates(plant.ledger.people, outcome)
    return report


def _break(
    plant: Plant,
    report: Report,
    fault: Fault,
    window: Window,
    wait: Callable[[float], None],
    rng: Random,
) -> None:
    """Injects a fault, holds it, repairs it, and returns once the service has healed."""
    now = plant.ledger.now
    fault.inject(plant)
    window.broken = now()
    wait(rng.uniform(*fault.hold))
    window.repairing = now()
    fault.repair(plant)
    window.repaired = now()
    window.stale_until = window.repaired + fault.stale if fault.stale else 0.0
    _wait_until_healed(plant, report, window.repaired, lambda: wait(_POLL))
    window.end = now()
    fault.after(plant)
    late = checks.time_to_heal(plant.ledger.entries, window, checks.ALL)
    if late > max(_HEAL_LIMIT, _HEAL_FACTOR * plant.start_seconds):
        report.violations.append(Violation(UNHEALED, -1, f"{fault.name}: {late:.1f} s"))


def _wait_until_healed(
    plant: Plant, report: Report, since: float, wait: Callable[[], None]
) -> None:
    """Returns once reads, a sign-up and the probes have been right for a second.

    Raises `StackError` if that takes too long.
    """
    deadline = plant.ledger.now() + max(_GIVE_UP, _GIVE_UP_FACTOR * plant.start_seconds)
    while plant.ledger.now() < deadline:
        wait()
        if _is_healthy(plant, since) and _is_ready(plant):
            return
    last = "\n".join(map(str, plant.ledger.entries[-30:]))
    ready = _is_ready(plant)
    raise StackError(
        f"seed {report.seed}: not healed; /readyz is right: {ready}; in the end\n{last}"
    )


def _is_healthy(plant: Plant, since: float) -> bool:
    """Whether all answers of the last second were right, and there were some."""
    now = plant.ledger.now()
    recent = [e for e in plant.ledger.entries[-2_000:] if now - _QUIET < e.answered <= now]
    kinds = Counter(entry.kind for entry in recent)
    return (
        now - since > _QUIET
        and kinds[READ] >= 3
        and kinds[SIGN_UP] >= 1
        and all(entry.status not in (0, 503) for entry in recent)
    )


def _is_ready(plant: Plant) -> bool:
    try:
        return httpx.get(f"{plant.stack.url}/readyz", timeout=5, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _settle(plant: Plant, show: Callable[[], None]) -> Outcome:
    """Waits until the outbox is empty, reads every profile, and returns what there is."""
    deadline = time.monotonic() + _SETTLE_TIMEOUT
    while (open_entries := plant.open_entries()) and time.monotonic() < deadline:
        show()
        time.sleep(_POLL)  # rows of a table: there is no event to await
    plant.await_in_loop(plant.clients.read_all())
    rows = plant.people_in_postgres()
    return Outcome(
        dict(rows),
        Counter(row["email"] for _, row in rows),
        plant.erased_in_postgres(),
        dict(plant.providers.messages),
        open_entries,
        plant.verify_profiles(),
    )


HEALED_KINDS = {"reads": (READ,), "writes": (*checks.WRITES, *ENDS)}
