"""The results of a load test, compared with thresholds."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

KINDS = ("read", "sign-up")
_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


@dataclass(frozen=True)
class Thresholds:
    """Requests per minute, their tolerance in %, and the p99 of each kind in ms."""

    rate: float
    rate_tolerance: float
    p99: dict[str, float]


@dataclass(frozen=True)
class Request:
    """One request: its kind, its latency in ms, and its error (or "")."""

    kind: str
    ms: float
    error: str


@dataclass(frozen=True)
class Report:
    """The requests that started within `seconds`, and all errors at any time.

    `schedule_lags`: by how many ms the load generator itself started its requests too late.
    `undelivered`: how many of the `messages` were not delivered in time.
    """

    seconds: float
    requests: list[Request]
    schedule_lags: list[float]
    errors: list[str]
    messages: int
    undelivered: int

    @property
    def rate(self) -> float:
        """Requests per minute."""
        return len(self.requests) / self.seconds * 60

    def table(self) -> str:
        """Returns a line per kind of request, the generator's lag, and the messages."""
        lines = [f"{'':8}{'requests':>9}{'a minute':>9}{'failed':>8}"]
        lines[0] += "".join(f"{name:>9}" for name in _QUANTILES) + "   ms"
        for kind in KINDS:
            matching = [r for r in self.requests if r.kind == kind]
            failed = sum(1 for r in matching if r.error)
            counts = f"{len(matching):9}{len(matching) / self.seconds * 60:9.1f}{failed:8}"
            lines.append(f"{kind:8}{counts}{_format_quantiles([r.ms for r in matching])}")
        lines.append(f"{'locust was late by':34}{_format_quantiles(self.schedule_lags)}")
        delivered = self.messages - self.undelivered
        lines.append(f"messages delivered: {delivered} of {self.messages}")
        return "\n".join(lines)

    def verdict(self, thresholds: Thresholds) -> str:
        """Returns PASS, or FAIL and the violations, one a line."""
        return (
            "\n  ".join(["FAIL", *violations])
            if (violations := self.violations(thresholds))
            else "PASS"
        )

    def violations(self, thresholds: Thresholds) -> list[str]:
        """Returns the violated thresholds and the errors."""
        return list(self._find_violations(thresholds))

    def _find_violations(self, thresholds: Thresholds) -> Iterator[str]:
        for kind in KINDS:
            times = [r.ms for r in self.requests if r.kind == kind]
            if not times:
                yield f"there was no {kind}"
            elif (p99 := percentile(times, 0.99)) >= thresholds.p99[kind]:
                yield f"p99 of {kind}s is {p99:.2f} ms, not under {thresholds.p99[kind]:g} ms"
        deviation = (self.rate / thresholds.rate - 1) * 100
        if abs(deviation) > thresholds.rate_tolerance:
            yield f"{self.rate:.0f} requests a minute, {deviation:+.1f} % off"
        for error in sorted(set(self.errors)):
            yield f"{error}: {self.errors.count(error)} times"
        if self.undelivered:
            yield f"{self.undelivered} of {self.messages} messages were not delivered in time"


def percentile(times: list[float], quantile: float) -> float:
    """Returns the quantile (0 < quantile <= 1) of the times by the nearest-rank method."""
    return sorted(times)[ceil(quantile * len(times)) - 1]


def _format_quantiles(times: list[float]) -> str:
    shown = [
        f"{percentile(times, quantile):.2f}" if times else "-" for quantile in _QUANTILES.values()
    ]
    return "".join(f"{ms:>9}" for ms in shown)
