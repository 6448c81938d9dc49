"""Datasets in a Valkey of their own, and the servers that read them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

from loadtests.bench.load import OTHERS_CORE, SERVER_CORE, measure
from loadtests.bench.people import Dataset, fill
from loadtests.bench.servers import Server
from loadtests.bench.toolchain import pinned_to_core
from local.servers import Valkey

# Bodies are longer than the default limit of listpack values, and a measured cache needs no
# persistence.
_OPTIONS = {"hash-max-listpack-value": "1024", "appendonly": "no"}
_MAX_WARM_UPS = 15  # of a second each


@contextmanager
def new_dataset(people: int, folder: Path, *, pinned: bool = True) -> Iterator[Dataset]:
    """Fills a Valkey with people; `pinned`: to the core that it shares with the generator."""
    valkey = Valkey(folder, f"profiles-{people}", _OPTIONS)
    with pinned_to_core(OTHERS_CORE) if pinned else nullcontext():
        valkey.start()
    try:
        yield fill(valkey, people, folder)
    finally:
        valkey.stop()


def start_server(server: Server, stack: ExitStack) -> None:
    """Starts a server on its own core; `stack` stops it."""
    stack.callback(server.process.stop)
    with pinned_to_core(SERVER_CORE):
        server.start()


def warm_up(server: Server, reads: int, folder: Path) -> None:
    """Sends `reads` requests that are not measured: connections are opened, code is compiled."""
    for _ in range(_MAX_WARM_UPS):
        reads -= int(measure(server, 1, folder).reads_per_second)
        if reads <= 0:
            return
