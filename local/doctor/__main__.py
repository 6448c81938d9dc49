"""Prints the table of `make doctor`; exit status 1 if something is wrong."""

from __future__ import annotations

import sys

from local.doctor import WRONG, Finding, Target
from local.doctor.environment import check_installer, check_python, check_venv
from local.doctor.folders import check_disk, check_folders, check_port, check_processes
from local.doctor.index import check_index
from local.doctor.machine import (
    check_kernel,
    check_locale,
    check_open_files,
    check_system,
    check_user,
)


def find_all(target: Target) -> list[Finding]:
    """Returns the findings of all checks."""
    return [
        check_system(),
        check_kernel(),
        check_user(),
        check_locale(),
        check_open_files(),
        check_folders(target),
        check_disk(target),
        check_port(target),
        check_processes(target),
        check_python(target),
        check_installer(target),
        check_venv(target),
        *check_index(target),
    ]


def main() -> int:
    """Prints check, result and remedy of each; returns the exit status."""
    findings = find_all(Target.from_environment())
    rows = [("", "check", "result", "remedy")]
    rows += [(each.state, each.check, each.result, each.remedy) for each in findings]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, [*widths, 0])]  # noqa: B905  # Python 3.8 has no `strict`
        print("  ".join(cells).rstrip())
    wrong = [each for each in findings if each.state == WRONG]
    print(f"\n{len(wrong)} of {len(findings)} checks failed" if wrong else "\nall is well")
    return 1 if wrong else 0


if __name__ == "__main__":
    # A locale that cannot say a file's name is one of the findings.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a text file here
    sys.exit(main())
