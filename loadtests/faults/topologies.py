"""The topologies: which servers a service runs on, and what can break there."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.faults.faults import SINGLE, Fault


@dataclass
class Topology:
    """`faults` are what can break; `servers` makes the servers, in a folder, that the service does
    not start itself, `settings` returns their URLs; `skipped` is what cannot be done here, and why.
    """

    faults: Callable[[], list[Fault]]
    servers: Callable[[Path], AbstractContextManager[Any]] = lambda _: nullcontext()
    settings: Callable[[Any], Mapping[str, str]] = lambda _: {}
    skipped: Callable[[], Mapping[str, str]] = dict


TOPOLOGIES = {"single": Topology(lambda: SINGLE)}
