"""The read without one of its mechanisms at a time: what each earns."""

from contextlib import ExitStack
from pathlib import Path

from loadtests.bench import equivalence, peers
from loadtests.bench.config import Config
from loadtests.bench.fixtures import new_dataset, start_server, warm_up
from loadtests.bench.reads import HOT_KEYS, UNIFORM_KEYS, compare, comparison_section
from loadtests.bench.report import Section
from loadtests.bench.servers import rollcall

_MECHANISMS = ("head-cache", "header-blocks", "stored-bytes", "multiplexing", "client-cache")


def run(config: Config, folder: Path) -> list[Section]:
    """Loads Rollcall whole, without each mechanism, and on granian's HTTP server, in turns."""
    with ExitStack() as stack:
        dataset = stack.enter_context(new_dataset(config.people, folder))
        servers = [rollcall(dataset, folder)]
        servers += [rollcall(dataset, folder, without=mechanism) for mechanism in _MECHANISMS]
        servers.append(peers.granian(dataset, folder))
        for server in servers:
            start_server(server, stack)
        equivalence.check(servers)
        for server in servers:
            warm_up(server, config.warm_up, folder)
        return [
            comparison_section(kind, compare(servers, config, folder, hot), config, [])
            for kind, hot in ((UNIFORM_KEYS, None), (HOT_KEYS, config.hot))
        ]
