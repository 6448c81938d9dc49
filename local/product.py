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
    # The script and not `-m`: the server that SIGUSR2 starts could not import its modules.
    web = [str(Path(sys.executable).parent / "gunicorn")]
    web += ["--config", "python:local.web", "--chdir", str(_ROOT)]
    web += ["--bind", f"{HOST}:{port}", "--workers", str(web_workers), "api.door:Door"]
    return Commands(
        once={"setup": _manage("devsetup")},
        service={
            "web": web,
            "worker": ["sh", "-c", _GIVE_WAY, "sh", *_manage("run_huey")],
            "relay": _manage("relay"),
        },
    )


def _manage(command: str) -> list[str]:
    return [sys.executable, str(_ROOT / "manage.py"), command]
