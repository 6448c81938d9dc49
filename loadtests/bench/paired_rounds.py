"""The arithmetic of paired rounds: what is compared is measured within the same seconds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Ratio:
    """A ratio, taken in each of some rounds: its median, least and most."""

    median: float
    minimum: float
    maximum: float

    def __str__(self) -> str:
        return " ".join(
            [
                _format_number(self.median),
                f"({_format_number(self.minimum)} to {_format_number(self.maximum)})",
            ]
        )


def ratio(these: Sequence[float], those: Sequence[float]) -> Ratio:
    """These to those, round by round. Raises ValueError if there are not as many of each."""
    ratios = [this / that for this, that in zip(these, those, strict=True)]
    return Ratio(median(ratios), min(ratios), max(ratios))


def rotate[T](items: Sequence[T], number: int) -> list[T]:
    """Everybody in the order of round `number` (from 0): each round begins with another."""
    start = number % len(items)
    return [*items[start:], *items[:start]]


def run_interleaved[T, S](
    items: Sequence[T], rounds: int, measure: Callable[[T], S]
) -> list[list[S]]:
    """What `measure` gave for each of everybody, round by round."""
    results: list[list[S]] = [[] for _ in items]
    for number in range(rounds):
        for index in rotate(range(len(items)), number):
            results[index].append(measure(items[index]))
    return results


@dataclass(frozen=True)
class Target:
    """Something that section 8 of the design asks for: what, what was measured, and its limit.

    `at_least` says on which side of the limit is right; `unit` follows the figures.
    """

    name: str
    measured: float
    limit: float
    unit: str = ""
    at_least: bool = False
    note: str = ""

    @property
    def reached(self) -> bool:
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def __str__(self) -> str:
        side = "at least" if self.at_least else "at most"
        verdict = "reached" if self.reached else f"missed by {self._missed_by():.0f} %"
        measured, limit = (f"{_format_number(x)}{self.unit}" for x in (self.measured, self.limit))
        note = f"   {self.note}" if self.note else ""
        return f"{self.name:58} {measured:>10}   {side} {limit:10} {verdict}{note}"

    def _missed_by(self) -> float:
        return abs(self.measured / self.limit - 1) * 100


def _format_number(number: float) -> str:
    """Three digits that count."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
