"""`make doctor`: what is wrong on this machine, and how to fix it.

It runs before anything is installed, with whatever Python 3 there is: standard library only, and
the syntax of Python 3.8.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

OK, NOTE, WRONG = "ok", "note", "WRONG"


class Finding(NamedTuple):
    """The outcome of one check; `state` is OK, NOTE (nothing to do now) or WRONG."""

    check: str
    state: str
    result: str
    remedy: str = ""


class Target(NamedTuple):
    """What is checked: the source tree, the folder of data, and the port of `make run`."""

    root: Path
    data_dir: Path
    port: str

    @classmethod
    def from_environment(cls) -> Target:
        """Returns what `make run` would use here."""
        root = Path(__file__).resolve().parents[2]
        data_dir = Path(os.environ.get("DATA_DIR") or root / ".data")
        return cls(root, data_dir.absolute(), os.environ.get("PORT") or "8000")


def nearest_existing(path: Path) -> Path:
    """Returns the path, or the nearest of its parents that exists."""
    return next(each for each in (path, *path.parents) if os.path.lexists(each))
