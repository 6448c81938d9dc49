"""The report of the bench: sections and summary."""

from dataclasses import dataclass, field
from typing import Any

from loadtests.bench.paired_rounds import Target


@dataclass(frozen=True)
class Section:
    """The result of one section: lines, targets, and the data for results.json."""

    title: str
    lines: list[str]
    targets: list[Target] = field(default_factory=list)
    results: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return "\n".join([f"\n{self.title}\n", *self.lines])


def table(headings: list[str], rows: list[list[str]]) -> list[str]:
    """Returns lines with the first column left-aligned, all others right-aligned."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [headings, *rows]
    ]


def summary(sections: list[Section]) -> str:
    """Returns all targets, one a line."""
    targets = [str(target) for section in sections for target in section.targets]
    return "\n".join(["\nAgainst section 8 of the design\n", *targets])
