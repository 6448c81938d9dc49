"""The arithmetic of paired rounds: what is compared is measured within the same seconds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Ratio:
    """A ratio, taken in each of some rounds: its median, least and most."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return " ".join([_digits(self.median), f"({_digits(self.least)} to {_digits(self.most)})"])


def ratio(these: Sequence[float], those: Sequence[float]) -> Ratio:
    """These to those, round by round. Raises ValueError if there are not as many of each."""
    each = [this / that for this, that in zip(these, those, strict=True)]
    return Ratio(median(each), min(each), max(each))


def rotated[T](everybody: Sequence[T], number: int) -> list[T]:
    """Everybody in the order of round `number` (from 0): each round begins with another."""
    begin = number % len(everybody)
    return [*everybody[begin:], *everybody[:begin]]


def interleaved[T, S](
    everybody: Sequence[T], rounds: int, measure: Callable[[T], S]
) -> list[list[S]]:
    """What `measure` gave for each of everybody, round by round."""
    found: list[list[S]] = [[] for _ in everybody]
    for number in range(rounds):
        for index in rotated(range(len(everybody)), number):
            found[index].append(measure(everybody[index]))
    return found


@dataclass(frozen=True)
class Target:
    """Something that section 8 of the design asks for: what, what was measured, and its limit.

    `at_least` says on which side of the limit is right; `unit` follows the figures.
    """

    what: str
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
        measured, limit = (f"{_digits(x)}{self.unit}" for x in (self.measured, self.limit))
        note = f"   {self.note}" if self.note else ""
        return f"{self.what:58} {measured:>10}   {side} {limit:10} {verdict}{note}"

    def _missed_by(self) -> float:
        return abs(self.measured / self.limit - 1) * 100


def _digits(number: float) -> str:
    """Three digits that count."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
