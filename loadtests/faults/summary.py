"""The results as text: a table of all seeds, and what is wrong in one of them."""

from collections import Counter
from collections.abc import Sequence

from loadtests.bench.report import table as render_table
from loadtests.faults import checks
from loadtests.faults.checks import DUPLICATE, LOST, OUTSIDE, UNHEALED, WRONG_READS
from loadtests.faults.run import HEALED_KINDS, Report

_HEADINGS = (
    "seed", "sign-ups", "lost", "duplicates", "wrong reads", "outside section 5",
    "longest gap in reads", "reads healed in", "writes healed in",
)  # fmt: skip  # a row
_MAX_PEOPLE = 3  # whose ledgers are printed
_MAX_OF_A_KIND = 5


def row(name: str, reports: Sequence[Report]) -> list[str]:
    """Returns the row of one report, or of several together."""
    counts = (
        sum(report.sign_ups for report in reports),
        sum(report.count(LOST, UNHEALED) for report in reports),
        f"{sum(r.duplicates for r in reports)}, {sum(r.count(DUPLICATE) for r in reports)} wrong",
        sum(report.count(*WRONG_READS) for report in reports),
        sum(report.count(OUTSIDE) for report in reports),
    )
    times = (
        max(report.longest_gap for report in reports),
        *(max(r.time_to_heal(*kinds) for r in reports) for kinds in HEALED_KINDS.values()),
    )
    return [name, *map(str, counts), *(f"{seconds:.1f} s" for seconds in times)]


def table(reports: Sequence[Report]) -> str:
    """Returns a row for each seed, and their total."""
    rows = [row(str(report.seed), [report]) for report in reports]
    return "\n".join(render_table(list(_HEADINGS), [*rows, row("total", reports)]))


def table_of_faults(reports: Sequence[Report]) -> str:
    """Returns a row for each fault: how often it happened, and the longest times until healed."""
    rows = []
    for name in sorted({window.name for report in reports for window in report.windows}):
        windows = [(r, w) for r in reports for w in r.windows if w.name == name]
        times = [
            max(checks.time_to_heal(r.ledger.entries, w, kinds) for r, w in windows)
            for kinds in HEALED_KINDS.values()
        ]
        rows.append([name, str(len(windows)), *(f"{seconds:.1f} s" for seconds in times)])
    return "\n".join(render_table(["fault", "times", *_HEADINGS[-2:]], rows))


def describe_failure(report: Report, command: str) -> str:
    """Returns what is wrong, the ledgers of the first people concerned, and how to repeat it."""
    lines = [f"\nseed {report.seed}: {len(report.violations)} contradictions"]
    shown: Counter[str] = Counter()
    for violation in report.violations:
        shown[violation.kind] += 1
        if shown[violation.kind] <= _MAX_OF_A_KIND:
            lines.append(f"  {violation.kind}, person {violation.person}: {violation.text}")
    lines += [f"  {kind}: {number} in all" for kind, number in shown.items()]
    people = dict.fromkeys(each.person for each in report.violations if each.person >= 0)
    for person in list(people)[:_MAX_PEOPLE]:
        lines.append(f"  person {person}")
        lines += [f"    {entry}" for entry in report.ledger.of(person)]
    lines += [f"  {w.start:9.3f} to {w.end:9.3f} {w.name}" for w in report.windows]
    return "\n".join([*lines, f"  to repeat it: {command}"])
