"""Takes one safeguard after another out of a copy of the source tree, and runs the faults there.

`python -m loadtests.faults.mutations [NAME…]`: exit status 0 if each mutation is found.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from local.processes import StackError

_ROOT = Path(__file__).resolve().parents[2]
_MAX_SEEDS = 4
_TIMEOUT = 900.0  # seconds for a seed
_SOURCES = ("api", "domain", "workers", "settings", "local", "loadtests")


class Edit(NamedTuple):
    """A text of a file that is replaced."""

    path: str
    old: str
    new: str


class Mutation(NamedTuple):
    """A safeguard that is missing, and the faults that must show it."""

    name: str
    edits: tuple[Edit, ...]
    options: tuple[str, ...]


MUTATIONS = [
    Mutation(
        "row done first",
        (
            Edit(
                "workers/tasks.py",
                "        outcome = _WORK[entry.kind].handler(entry)\n",
                "        outbox.complete(entry, Outcome(OutboxEntry.State.DONE))\n"
                "        outcome = _WORK[entry.kind].handler(entry)\n",
            ),
        ),
        ("--only", "worker: kill -9", "--faults", "6"),
    ),
    Mutation(
        "no version guard",
        (
            Edit(
                "domain/projection/write_script.py",
                "elseif version > new_version then\n",
                "elseif false then\n",
            ),
        ),
        ("--only", "profiles: SIG", "--faults", "4"),
    ),
    Mutation(
        "no lease",
        (
            Edit(
                "domain/postgres/outbox.py",
                "WHERE state IN ('pending', 'queued', 'running') AND due_at <= now()",
                "WHERE state = 'pending' AND due_at <= now()",
            ),
        ),
        ("--only", "worker: kill -9", "--faults", "3"),
    ),
    Mutation(
        "fence by run id only",
        (
            Edit(
                "domain/fence.py",
                "in zip(actual, fenced, strict=True)",
                "in list(zip(actual, fenced, strict=True))[:1]",
            ),
            Edit("domain/projection/fencing.py", " or (fenced_replid or replid) ~= replid", ""),
        ),
        ("--topology", "sentinel", "--only", "there and back", "--faults", "2"),
    ),
    Mutation(
        "revocation not verified",
        (
            Edit(
                "api/writes/after_commit.py",
                "    try:\n        writer.write_profile(committed.person)\n    finally:\n",
                "    with suppress(ServiceUnavailable):\n"
                "        writer.write_profile(committed.person)\n    if True:\n",
            ),
        ),
        ("--only", "profiles: ", "--faults", "4"),
    ),
]


def main(names: Iterable[str]) -> int:
    """Runs the mutations whose names contain one of these; returns the exit status."""
    chosen = [m for m in MUTATIONS if not names or any(name in m.name for name in names)]
    found = [_is_found(mutation) for mutation in chosen]
    return 0 if all(found) else 1


def _is_found(mutation: Mutation) -> bool:
    """Runs seeds until one finds a contradiction that it does not find with the safeguard; prints
    which, and what it is.
    """
    with tempfile.TemporaryDirectory(prefix="rollcall-mutation-") as folder:
        tree = Path(folder) / "tree"
        copy_with(mutation, tree)
        for seed in range(_MAX_SEEDS):
            found = _run(tree, mutation, seed)
            control = _run(_ROOT, mutation, seed) if found else ""
            result = "found" if found and not control else "not found"
            options = " ".join(mutation.options)
            print(f"{result}: {mutation.name}: seed {seed}, {options}: {found}", flush=True)
            if found and not control:
                return True
            print(f"  with the safeguard: {control}" if found else "  PASS", flush=True)
    return False


def _run(tree: Path, mutation: Mutation, seed: int) -> str:
    """Runs a seed with the code of a source tree; returns the kinds of contradictions."""
    with tempfile.TemporaryDirectory(prefix="rollcall-mutation-") as folder:
        argv = [sys.executable, "-m", "loadtests.faults", "--seed", str(seed)]
        argv += [*mutation.options, "--out", folder]
        result = subprocess.run(
            argv, cwd=tree, env=os.environ, capture_output=True, text=True, timeout=_TIMEOUT
        )
    lines = (line.strip() for line in result.stdout.splitlines())
    return ", ".join(line.removesuffix(" in all") for line in lines if line.endswith(" in all"))


def copy_with(mutation: Mutation, tree: Path) -> None:
    """Copies what runs the service, without the safeguard. Raises `StackError` as `mutate` does."""
    tree.mkdir()
    for name in _SOURCES:
        shutil.copytree(_ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(_ROOT / "manage.py", tree)
    (tree / ".venv").symlink_to((_ROOT / ".venv").resolve())
    for path, text in mutate(mutation).items():
        (tree / path).write_text(text)


def mutate(mutation: Mutation) -> dict[str, str]:
    """Returns the changed files by path. Raises `StackError` if the safeguard is not there."""
    texts = {edit.path: (_ROOT / edit.path).read_text() for edit in mutation.edits}
    for path, old, new in mutation.edits:
        if texts[path].count(old) != 1:
            raise StackError(f"{mutation.name}: {path} has not {old!r}, once")
        texts[path] = texts[path].replace(old, new)
    return texts


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
