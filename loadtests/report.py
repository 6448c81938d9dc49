"""What a load has shown: percentiles of the raw times, and whether that is good enough."""

from dataclasses import dataclass
from math import ceil

KINDS = ("read", "sign-up")
_RATE_TOLERANCE = 0.02


def percentile(times: list[float], share: float) -> float:
    """The nearest-rank percentile of sorted `times`, 0 < share <= 1."""
    return times[max(0, ceil(share * len(times)) - 1)]


@dataclass
class Report:
    """`requests` as (kind, when, ms, what was wrong), over `seconds`; `rate` was asked for."""

    requests: list[tuple[str, float, float, str]]
    seconds: float
    rate: float
    signed_up: int

    def times(self, kind: str) -> list[float]:
        """The sorted times of one kind of request, in ms."""
        return sorted(ms for name, _, ms, _ in self.requests if name == kind)

    @property
    def failures(self) -> list[str]:
        """What went wrong, one text a failed request."""
        return [f"{name}: {wrong}" for name, _, _, wrong in self.requests if wrong]

    def table(self) -> str:
        """A row for each kind of request, times in ms."""
        achieved = len(self.requests) / self.seconds * 60
        count = f"{achieved:.0f} requests a minute for {self.seconds:g} s, after a warm-up"
        lines = [
            f"{count}; {len(self.failures)} failures",
            f"{'':8}{'requests':>9}{'p50':>8}{'p95':>8}{'p99':>8}{'p99.9':>8}{'max':>8}   ms",
        ]
        for kind in KINDS:
            times = self.times(kind)
            shown = [percentile(times, p) for p in (0.5, 0.95, 0.99, 0.999, 1)] if times else []
            lines.append(f"{kind:8}{len(times):9}" + "".join(f"{ms:8.2f}" for ms in shown))
        return "\n".join(lines)

    def reasons(self, reads_p99: float, sign_ups_p99: float) -> list[str]:
        """Why this is not good enough; empty if it is."""
        reasons = []
        for kind, limit in zip(KINDS, (reads_p99, sign_ups_p99), strict=True):
            times = self.times(kind)
            if not times:
                reasons.append(f"there was no {kind}")
            elif (p99 := percentile(times, 0.99)) >= limit:
                reasons.append(f"p99 of the {kind}s is {p99:.2f} ms, not under {limit:g}")
        achieved = len(self.requests) / self.seconds * 60
        if abs(achieved - self.rate) > self.rate * _RATE_TOLERANCE:
            reasons.append(f"{achieved:.0f} requests a minute instead of {self.rate:g}")
        if self.failures:
            kinds = sorted(set(self.failures))
            reasons.append(f"{len(self.failures)} failures: {', '.join(kinds[:5])}")
        return reasons
