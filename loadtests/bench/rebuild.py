"""The rebuild of all profiles from Postgres in an empty Redis, during reads."""

import json
import sys
import time
from pathlib import Path

from redis import Redis

from loadtests import ISOLATED_ENV
from loadtests.bench.config import Config
from loadtests.bench.load import generator_argv
from loadtests.bench.paired_rounds import Target
from loadtests.bench.report import Section
from loadtests.bench.servers import server_commands
from loadtests.bench.toolchain import ROOT, with_server_python
from loadtests.seeding import insert
from local.processes import Process, StackError
from local.stack import Stack

_RATE = 1_000_000 / 30  # profiles per second
_READ_RATE = 500  # reads per second
_CLIENTS = 256  # connections: those with a cache miss wait for it
_TIMEOUT = 300.0  # seconds


def run(config: Config, folder: Path) -> list[Section]:
    """Inserts people, has them read, and times `manage.py profiles rebuild`."""
    with Stack(folder / "data", env=ISOLATED_ENV, commands=server_commands) as stack:
        env = stack.environment()
        people = insert(env["DATABASE_URL"], env["SECRET_KEY"], config.rebuild)
        lines = folder / "tokens"
        lines.write_text("\n".join(person.token for person in people))
        argv = generator_argv(
            "reads", stack.port, lines, connections=_CLIENTS, rate=_READ_RATE, seconds=_TIMEOUT
        )
        manage = [sys.executable, str(ROOT / "manage.py"), "profiles", "rebuild"]
        command = Process("rebuild", with_server_python(manage), folder / "rebuild.log", env=env)
        with Process("readers", argv, folder / "readers.log") as readers:
            started_at = time.monotonic()
            command.run(_TIMEOUT)
            seconds = time.monotonic() - started_at
            readers.stop()
            read = json.loads(readers.log_tail(1))
        with Redis.from_url(env["REDIS_URL"], socket_timeout=10) as redis:
            if (count := int(redis.dbsize())) < config.rebuild:
                raise StackError(f"only {count:,} of {config.rebuild:,} profiles were rebuilt")
    rate = config.rebuild / seconds
    reads = f"{read['requests']:,} reads meanwhile"
    return [
        Section(
            "Rebuild",
            [
                f"{config.rebuild:,} people in {seconds:.1f} s",
                f"{reads}: p99 {read['p99_ms']:.1f} ms, {read['failed']:,} not answered (503)",
            ],
            [Target("rebuild: profiles a second", rate, _RATE, at_least=True)],
            {"people": config.rebuild, "seconds": seconds, "reads": read},
        )
    ]
