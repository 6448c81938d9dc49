"""Paired rounds: the compared items are measured within the same seconds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Ratio:
    """A ratio over rounds: its median, minimum and maximum."""

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
    """Returns the ratio per round. Raises `ValueError` if the numbers of rounds differ."""
    ratios = [this / that for this, that in zip(these, those, strict=True)]
    return Ratio(median(ratios), min(ratios), max(ratios))


def rotate[T](items: Sequence[T], number: int) -> list[T]:
    """Returns the items in the order of round `number` (from 0): each round starts with another."""
    start = number % len(items)
    return [*items[start:], *items[:start]]


def run_interleaved[T, S](
    items: Sequence[T], rounds: int, measure: Callable[[T], S]
) -> list[list[S]]:
    """Returns the results of `measure` for each item, by round."""
    results: list[list[S]] = [[] for _ in items]
    for number in range(rounds):
        for index in rotate(range(len(items)), number):
            results[index].append(measure(items[index]))
    return results


@dataclass(frozen=True)
class Target:
    """A target of section 8 of the design: its name, the measured value, and the limit.

    `at_least`: the limit is a minimum; `unit` follows the values.
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
    """Formats a number with three significant digits."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
