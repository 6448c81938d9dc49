"""What a load has shown, and whether that is good enough."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

KINDS = ("read", "sign-up")
_SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


@dataclass(frozen=True)
class Limits:
    """What is good enough: requests a minute and how far off in %, and p99 of each kind in ms."""

    rate: float
    rate_within: float
    p99: dict[str, float]


@dataclass(frozen=True)
class Request:
    """One request: what it was, how many ms it took, and what was wrong (or "")."""

    kind: str
    ms: float
    wrong: str


@dataclass(frozen=True)
class Report:
    """All requests that were begun within `seconds`, and all that went wrong at any time.

    `lateness` is by how many ms the load generator itself began its requests too late; of
    `messages` that had to be delivered, `missing` were not.
    """

    seconds: float
    requests: list[Request]
    lateness: list[float]
    wrong: list[str]
    messages: int
    missing: int

    @property
    def rate(self) -> float:
        """Requests a minute."""
        return len(self.requests) / self.seconds * 60

    def table(self) -> str:
        """A line for each kind of request, and what else there is to know."""
        lines = [f"{'':8}{'requests':>9}{'a minute':>9}{'failed':>8}"]
        lines[0] += "".join(f"{name:>9}" for name in _SHARES) + "   ms"
        for kind in KINDS:
            of_kind = [r for r in self.requests if r.kind == kind]
            failed = sum(1 for r in of_kind if r.wrong)
            counts = f"{len(of_kind):9}{len(of_kind) / self.seconds * 60:9.1f}{failed:8}"
            lines.append(f"{kind:8}{counts}{_times([r.ms for r in of_kind])}")
        lines.append(f"{'locust was late by':34}{_times(self.lateness)}")
        delivered = self.messages - self.missing
        lines.append(f"messages delivered: {delivered} of {self.messages}")
        return "\n".join(lines)

    def verdict(self, limits: Limits) -> str:
        """PASS, or FAIL and on the following lines the reasons."""
        return "\n  ".join(["FAIL", *reasons]) if (reasons := self.reasons(limits)) else "PASS"

    def reasons(self, limits: Limits) -> list[str]:
        """Why this is not good enough; empty if it is."""
        return list(self._reasons(limits))

    def _reasons(self, limits: Limits) -> Iterator[str]:
        for kind in KINDS:
            times = [r.ms for r in self.requests if r.kind == kind]
            if not times:
                yield f"there was no {kind}"
            elif (p99 := percentile(times, 0.99)) >= limits.p99[kind]:
                yield f"p99 of {kind}s is {p99:.2f} ms, not under {limits.p99[kind]:g} ms"
        off = (self.rate / limits.rate - 1) * 100
        if abs(off) > limits.rate_within:
            yield f"{self.rate:.0f} requests a minute, {off:+.1f} % off"
        for wrong in sorted(set(self.wrong)):
            yield f"{wrong}: {self.wrong.count(wrong)} times"
        if self.missing:
            yield f"{self.missing} of {self.messages} messages were not delivered in time"


def percentile(times: list[float], share: float) -> float:
    """The least of the times that at least this share of them (0 < share <= 1) does not exceed."""
    return sorted(times)[ceil(share * len(times)) - 1]


def _times(times: list[float]) -> str:
    shown = [f"{percentile(times, share):.2f}" if times else "-" for share in _SHARES.values()]
    return "".join(f"{ms:>9}" for ms in shown)
