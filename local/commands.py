"""The commands that make up Rollcall."""

import os
import sys
from pathlib import Path
from typing import NamedTuple

from local.processes import with_nice, with_real_time_priority
from local.tcp_ports import HOST

READ_NICE = -15  # of the read processes and their Redis, where this user may set it
_ROOT = Path(__file__).resolve().parent.parent


class Commands(NamedTuple):
    """`setup` runs first, to completion; then the `services`, by name, until SIGTERM."""

    setup: list[str]
    services: dict[str, list[str]]


def rollcall_commands(port: int, write_bind: str, workers: int = 2) -> Commands:
    """Returns the commands that make up Rollcall: `workers` read processes on `port`, and as many
    write processes on `write_bind` (unix:/path).

    Reads come first on a busy machine: WRITE_NICE (19) is the nice value of write processes and
    workers; for read processes see `with_read_priority`. Sessions of a Postgres server have the
    default, in between. The relay is above the workers: reads wait for its backfills.
    """
    nice = int(os.environ.get("WRITE_NICE") or 19)
    write = _gunicorn("api.writes.gunicorn_config", "api.wsgi:application", write_bind, workers)
    return Commands(
        setup=_manage("bootstrap_dev"),
        services={
            "write": with_nice(nice, write),  # first: its socket exists when reads are ready
            "read": read_command(port, workers),
            "worker": with_nice(nice, _manage("run_huey")),
            "relay": with_nice(5, _manage("relay")),
        },
    )


def read_command(
    port: int,
    workers: int = 1,
    config: str = "api.http_server.gunicorn_config",
    root: Path = _ROOT,
    *,
    is_first: bool = True,
) -> list[str]:
    """Returns the command of `workers` read processes on `port`, of the product in `root`;
    `is_first`: as `with_read_priority` says.
    """
    argv = _gunicorn(config, "api.reads.app:Application", f"{HOST}:{port}", workers, root)
    return with_read_priority(argv, of_children=True) if is_first else argv


def with_read_priority(argv: list[str], *, of_children: bool) -> list[str]:
    """Returns the command of a part of the read side, which runs before everything else as far as
    this user may set that: by a real-time priority, unless REAL_TIME_READS is 0, else by READ_NICE.
    """
    if os.environ.get("REAL_TIME_READS") != "0":
        argv = with_real_time_priority(argv, of_children=of_children)
    return with_nice(READ_NICE, argv)


def _gunicorn(
    config: str, application: str, bind: str, workers: int, root: Path = _ROOT
) -> list[str]:
    # The script and not `-m`: the server that SIGUSR2 starts could not import its modules.
    argv = [str(Path(sys.executable).parent / "gunicorn"), "--config", f"python:{config}"]
    argv += ["--chdir", str(root), "--bind", bind, "--workers", str(workers)]
    return [*argv, application]


def _manage(command: str) -> list[str]:
    return [sys.executable, str(_ROOT / "manage.py"), command]
