"""The commands that make up Rollcall."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from local.machine import HOST, READ_NICE, with_nice

_ROOT = Path(__file__).resolve().parent.parent
WRITE_SOCKET = "write.sock"  # in DATA_DIR


@dataclass(frozen=True)
class Commands:
    """Commands by name: `setup` run in order, to completion; then `services`, until SIGTERM."""

    setup: dict[str, list[str]]
    services: dict[str, list[str]]


def rollcall_commands(port: int, workers: int = 2) -> Commands:
    """Returns the commands that make up Rollcall: `workers` read processes on `port`, and as many
    write processes on the unix socket that WRITE_UPSTREAM names (unix:/path).

    Reads come first on a busy machine: WRITE_NICE (19) is the nice value of write processes and
    workers, and READ_NICE that of read processes. Sessions of a Postgres server have the default,
    in between. The relay is above the workers: reads wait for its backfills.
    """
    nice = int(os.environ.get("WRITE_NICE") or 19)
    return Commands(
        setup={"setup": _manage("bootstrap_dev")},
        services={
            # First, so that its socket is there when the read process is ready.
            "write": with_nice(
                nice, _gunicorn("local.gunicorn_write_config", "api.wsgi:application", workers)
            ),
            "read": with_nice(
                READ_NICE,
                _gunicorn(
                    "local.gunicorn_read_config",
                    "api.reads.app:Application",
                    workers,
                    f"{HOST}:{port}",
                ),
            ),
            "worker": with_nice(nice, _manage("run_huey")),
            "relay": with_nice(5, _manage("relay")),
        },
    )


def _gunicorn(config: str, application: str, workers: int, bind: str = "") -> list[str]:
    # The script and not `-m`: the server that SIGUSR2 starts could not import its modules.
    argv = [str(Path(sys.executable).parent / "gunicorn"), "--config", f"python:{config}"]
    argv += ["--chdir", str(_ROOT), "--workers", str(workers)]
    return [*argv, *(["--bind", bind] if bind else []), application]


def _manage(command: str) -> list[str]:
    return [sys.executable, str(_ROOT / "manage.py"), command]
