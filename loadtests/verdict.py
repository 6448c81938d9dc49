"""Whether a load kept its limits: as text, and as JSON."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from loadtests.bench.report import table
from loadtests.profiles import METRICS, Profile
from loadtests.results import QUANTILES, Run, knee_steps, latencies, measure
from loadtests.schedule import READ, SIGN_UP

_OWN_SERVICE_ONLY = ("undelivered", "memory_growth")  # not measured with HOST=
_LATE = 1.0  # ms; above it a note says that the generator was late
_COMPARISONS = {
    "<": lambda measured, limit: measured < limit,
    "<=": lambda measured, limit: measured <= limit,
    ">=": lambda measured, limit: measured >= limit,
}


def summarize(profile: Profile, run: Run) -> dict[str, Any]:
    """Returns the summary of a run, for JSON."""
    values = measure(profile, run)
    limits = [_check(profile, name, values.get(name)) for name in profile.limits]
    lags = [request.lag for request in run.requests if request.lag is not None]
    summary: dict[str, Any] = {
        "profile": profile.name,
        "aim": profile.aim,
        "verdict": "FAIL" if any(each["kept"] is False for each in limits) else "PASS",
        "limits": limits,
        "measured": {name: round(value, 3) for name, value in values.items()},
        "requests": {kind: _count(run, kind) for kind in (READ, SIGN_UP)},
        "load": {
            "seconds": profile.seconds,
            "warm_up_seconds": profile.warm_up,
            "requests_per_minute": round(len(run.requests) / profile.seconds * 60, 1),
            "stages": [each._asdict() for each in profile.stages],
            "writes": profile.writes,
            "people": run.people,
        },
        "generator_lag_ms": {name: round(ms, 3) for name, ms in latencies(lags).items()},
        **_resources(run),
    }
    if profile.rising:
        summary["steps"] = knee_steps(profile, run.requests)
    if run.storm is not None:
        summary["storm"] = dict(run.storm)
    return summary


def _check(profile: Profile, name: str, measured: float | None) -> dict[str, Any]:
    """Returns a limit, what was measured, and whether it was kept: None if it does not apply."""
    metric, limit = METRICS[name], profile.limits[name]
    applies = name not in _OWN_SERVICE_ONLY
    if name.startswith("sign_up") and not profile.writes:
        applies = False
    kept = False if applies else None
    if measured is not None:
        kept = _COMPARISONS[metric.comparison](measured, limit)
    return {
        "name": name,
        "description": metric.description,
        "unit": metric.unit,
        "expected": f"{metric.comparison} {limit:g}",
        "measured": None if measured is None else round(measured, 3),
        "kept": kept,
    }


def _count(run: Run, kind: str) -> dict[str, int]:
    return dict(Counter(request.outcome for request in run.requests if request.kind == kind))


def _resources(run: Run) -> dict[str, Any]:
    """Returns the cores that each part kept busy, and its memory at the start and the end."""
    samples = sorted(run.usage.items())
    if len(samples) < 2:
        return {}
    (started_at, first), (ended_at, last) = samples[0], samples[-1]
    seconds = ended_at - started_at
    parts = [name for name in first if name in last]
    return {
        "cores": {name: round((last[name].cpu - first[name].cpu) / seconds, 3) for name in parts},
        "memory_mb": {
            name: [round(first[name].memory, 1), round(last[name].memory, 1)] for name in parts
        },
    }


def describe(summary: Mapping[str, Any]) -> str:
    """Returns the summary as text; its last lines are the verdict and each broken limit."""
    lines = [*_requests_table(summary), "", *_limits_table(summary)]
    if "cores" in summary:
        lines += ["", "cores: " + ", ".join(f"{k} {v:.2f}" for k, v in summary["cores"].items())]
    if storm := summary.get("storm"):
        created, rejected = (storm[name] / storm["seconds"] for name in ("created", "unavailable"))
        lines.append(f"beside it {created:,.0f} sign-ups a second, and {rejected:,.0f} 503s")
    if "steps" in summary:
        lines += ["", *_steps_table(summary)]
    lag = summary["generator_lag_ms"].get("p99", 0.0)
    if lag > _LATE:
        lines.append(f"locust itself was late by {lag:.2f} ms (p99), which the latencies include")
    return "\n".join([*lines, "", summary["verdict"], *_broken(summary)])


def _requests_table(summary: Mapping[str, Any]) -> list[str]:
    rows = []
    for kind, outcomes in summary["requests"].items():
        prefix, count = kind.replace("-", "_"), sum(outcomes.values())
        if not count:
            continue
        times = [summary["measured"].get(f"{prefix}_{name}") for name in QUANTILES]
        per_minute = count / summary["load"]["seconds"] * 60
        shown = ", ".join(f"{n} x {outcome}" for outcome, n in outcomes.items())
        rows.append([kind, f"{per_minute:,.0f}", *map(_number, times), shown])
    return table(["", "a minute", *(f"{name} ms" for name in QUANTILES), "outcomes"], rows)


def _limits_table(summary: Mapping[str, Any]) -> list[str]:
    words = {True: "kept", False: "BROKEN", None: "not measured"}
    rows = [
        [
            each["name"],
            f"{each['expected']} {each['unit']}",
            _number(each["measured"]),
            words[each["kept"]],
        ]
        for each in summary["limits"]
    ]
    return table(["limit", "expected", "measured", ""], rows)


def _steps_table(summary: Mapping[str, Any]) -> list[str]:
    rows = [
        [
            f"{step['rate']:,}",
            _number(step.get("p50")),
            _number(step.get("p99")),
            _number(step["sign_up_p99"]),
            str(step["failures"]),
            "" if step["holds"] else "beyond the knee",
        ]
        for step in summary["steps"]
    ]
    knee = summary["measured"]["knee"]
    title = f"the knee is at {knee:,.0f} requests a minute"
    return [
        *table(["a minute", "p50 ms", "p99 ms", "sign-up p99", "failures", ""], rows),
        "",
        title,
    ]


def _broken(summary: Mapping[str, Any]) -> list[str]:
    return [
        f"  {each['name']} ({each['description']}): expected {each['expected']} {each['unit']},"
        f" measured {_number(each['measured'])}"
        for each in summary["limits"]
        if each["kept"] is False
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}".removesuffix(".00")
