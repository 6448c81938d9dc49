"""The commands that make up Rollcall."""

import sys
from dataclasses import dataclass
from pathlib import Path

from local.machine import HOST

# Background work gives way to reads, with which it shares the cores here. Where the kernel groups
# processes by session, a nice value counts only inside a session: the group's own is set too.
_GIVE_WAY = 'echo 10 2>/dev/null >/proc/self/autogroup; exec nice -n 10 "$@"'
_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Commands:
    """Commands by name: what is run once, in order, before the service; and the service itself.

    The latter run until they are stopped, by SIGTERM.
    """

    once: dict[str, list[str]]
    service: dict[str, list[str]]


def product(port: int, web_workers: int = 2) -> Commands:
    """The commands that make up Rollcall, its web server on `port` with so many processes."""
    web = ["-m", "granian", "--interface", "rsgi", "--http", "1", "--loop", "uvloop"]
    web += ["--host", HOST, "--port", str(port), "--workers", str(web_workers), "--no-ws"]
    # granian's own bound is 1,024 connections for all workers; idle ones would keep others out.
    web += ["--backlog", "4096", "--backpressure", "16384"]
    web += ["--respawn-failed-workers", "--workers-kill-timeout", "15"]
    web += ["--working-dir", str(_ROOT), "local.web:door"]
    return Commands(
        once={"setup": _manage("devsetup")},
        service={
            "web": [sys.executable, *web],
            "worker": ["sh", "-c", _GIVE_WAY, "sh", *_manage("run_huey")],
            "relay": _manage("relay"),
        },
    )


def _manage(command: str) -> list[str]:
    return [sys.executable, str(_ROOT / "manage.py"), command]
