"""The measured values of a load: percentiles and counts, for its limits and its report."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loadtests.percentiles import percentile
from loadtests.profiles import KNEE_P99, Profile
from loadtests.record import Request
from loadtests.schedule import READ, SIGN_UP
from loadtests.service import ROLLCALL, Usage
from loadtests.traffic import RIGHT_OUTCOMES, UNAVAILABLE

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


@dataclass
class Run:
    """What was observed. `people`: who could be read; `usage`: samples by seconds since the start;
    `flushed_at`: when Redis was empty, since the start; `storm`: the report of those who sign up.
    """

    requests: Sequence[Request]
    people: int = 0
    usage: dict[float, Mapping[str, Usage]] = field(default_factory=dict)
    flushed_at: float | None = None
    undelivered: int | None = None
    storm: Mapping[str, float] | None = None


def measure(profile: Profile, run: Run) -> dict[str, float]:
    """Returns the measured values by metric (see `METRICS`), those that there are."""
    values: dict[str, float] = {}
    for kind, prefix in ((READ, "read"), (SIGN_UP, "sign_up")):
        times = [request.ms for request in run.requests if request.kind == kind]
        values |= {f"{prefix}_{name}": ms for name, ms in latencies(times).items()}
    outcomes = Counter(request.outcome for request in run.requests)
    values["failures"] = sum(n for each, n in outcomes.items() if each not in RIGHT_OUTCOMES)
    values["rejected"] = values["failures"] - outcomes[UNAVAILABLE]
    if profile.rising:
        values["knee"] = _find_knee(knee_steps(profile, run.requests))
    elif len(profile.stages) > 1:
        last = [r.ms for r in run.requests if r.stage == len(profile.stages) - 1 and r.kind == READ]
        values |= {f"after_{name}": ms for name, ms in latencies(last).items()}
    if run.flushed_at is not None:
        values |= _recovery(run.requests, run.flushed_at)
    if run.undelivered is not None:
        values["undelivered"] = run.undelivered
    if run.storm is not None:
        values["storm_failures"] = run.storm["failed"]
    if (growth := _memory_growth(profile, run.usage)) is not None:
        values["memory_growth"] = growth
    return values


def latencies(times: Sequence[float]) -> dict[str, float]:
    """Returns the percentiles of latencies in ms; empty if there is none."""
    return {name: percentile(times, q) for name, q in QUANTILES.items()} if times else {}


def knee_steps(profile: Profile, requests: Iterable[Request]) -> list[dict[str, Any]]:
    """Returns the stages of a rising load: rate, latencies, failures, and whether it holds.

    One that holds is not beyond the knee, and at most 1 % of its requests failed.
    """
    by_stage: defaultdict[int, list[Request]] = defaultdict(list)
    for request in requests:
        by_stage[request.stage].append(request)
    steps = []
    for stage, own in sorted(by_stage.items()):
        times = latencies([request.ms for request in own if request.kind == READ])
        sign_ups = latencies([request.ms for request in own if request.kind == SIGN_UP])
        failures = sum(1 for request in own if request.outcome not in RIGHT_OUTCOMES)
        holds = times.get("p99", 0.0) <= KNEE_P99 and failures <= len(own) / 100
        rate = round(profile.stages[stage].rate)
        step = {"rate": rate, **times, "sign_up_p99": sign_ups.get("p99")}
        steps.append({**step, "failures": failures, "holds": holds})
    return steps


def _find_knee(steps: Sequence[Mapping[str, Any]]) -> float:
    """Returns the highest rate that holds before two steps in succession that do not; 0: none."""
    knee, held = 0.0, True
    for step in steps:
        if not step["holds"] and not held:
            break
        held = step["holds"]
        knee = step["rate"] if held else knee
    return knee


def _recovery(requests: Iterable[Request], flushed_at: float) -> dict[str, float]:
    """Returns when reads were right, and when unavailable, after a flush; not of those before."""
    ends: dict[str, list[float]] = {"200": [], UNAVAILABLE: []}
    for request in requests:
        if request.kind == READ and request.due >= flushed_at and request.outcome in ends:
            ends[request.outcome].append(request.due + request.ms / 1000 - flushed_at)
    first = {"first_read": min(ends["200"])} if ends["200"] else {}
    return first | {"unavailable_until": max(ends[UNAVAILABLE], default=0.0)}


def _memory_growth(profile: Profile, usage: Mapping[float, Mapping[str, Usage]]) -> float | None:
    """Returns by how many percent Rollcall's processes grew since the first quarter of the time."""
    samples = [
        sum(parts[name].memory for name in ROLLCALL)
        for seconds, parts in sorted(usage.items())
        if seconds >= profile.seconds / 4 and set(ROLLCALL) <= parts.keys()
    ]
    return (samples[-1] / samples[0] - 1) * 100 if len(samples) > 1 else None
