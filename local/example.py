"""The example web app, served on another origin than the service."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from local.commands import Commands
from local.tcp_ports import HOST

_FOLDER = Path(__file__).resolve().parent.parent / "examples" / "web"


class ExampleSite(NamedTuple):
    """The files of examples/web on a port."""

    port: int

    @property
    def origin(self) -> str:
        """The origin, as browsers send it."""
        return f"http://{HOST}:{self.port}"

    def url(self, service: str) -> str:
        """Returns the URL of the page for the service at a URL."""
        return f"{self.origin}/?api={service}"

    def service_environment(self) -> dict[str, str]:
        """Returns the settings with which a service may be used by the page."""
        return {"CORS_ALLOWED_ORIGINS": self.origin}

    def add_to(self, commands: Callable[[int, str], Commands]) -> Callable[[int, str], Commands]:
        """Returns the commands of a service and of the server of these files."""
        files = ["-m", "http.server", str(self.port), "--bind", HOST, "--directory", str(_FOLDER)]

        def with_example(port: int, write_bind: str) -> Commands:
            setup, services = commands(port, write_bind)
            return Commands(setup, services | {"example": [sys.executable, *files]})

        return with_example
