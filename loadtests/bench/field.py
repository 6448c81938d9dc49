"""Whom a part measures: people in a Redis of their own, and servers beside it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

from loadtests.bench.load import OTHERS_CORE, SERVER_CORE, measure
from loadtests.bench.people import Crowd, fill
from loadtests.bench.servers import Server
from loadtests.bench.tools import on_core
from local.servers import Valkey

# A body is longer than a listpack's values are by default: see section 8 of the design. A cache
# that is filled to be measured need not be kept.
_OPTIONS = {"hash-max-listpack-value": "1024", "appendonly": "no"}
_WARM_UPS = 15  # seconds at most


@contextmanager
def crowd_of(people: int, folder: Path, *, pinned: bool = True) -> Iterator[Crowd]:
    """So many people in a Valkey, pinned to the core that it shares with the generator or not."""
    valkey = Valkey(folder, f"profiles-{people}", _OPTIONS)
    with on_core(OTHERS_CORE) if pinned else nullcontext():
        valkey.start()
    try:
        yield fill(valkey, people, folder)
    finally:
        valkey.stop()


def start(server: Server, ends: ExitStack) -> None:
    """Start a server on a core of its own, until `ends` ends."""
    ends.callback(server.process.stop)
    with on_core(SERVER_CORE):
        server.start()


def warm_up(server: Server, reads: int, folder: Path) -> None:
    """So many reads that do not count: connections are opened, code is compiled."""
    for _ in range(_WARM_UPS):
        reads -= int(measure(server, 1, folder).reads_per_second)
        if reads <= 0:
            return
