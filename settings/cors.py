"""The origins whose web pages may call the API."""

import re
from collections.abc import Iterable

from environs import EnvValidationError

# As browsers serialize an origin (RFC 6454 section 6.2): another spelling would never be equal.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def check_origins(origins: Iterable[str]) -> tuple[str, ...]:
    """Returns the origins. Raises `EnvValidationError`, which names the first that is none."""
    origins = tuple(origins)
    for origin in origins:
        default_port = _DEFAULT_PORTS.get(origin.partition(":")[0])
        if not _ORIGIN.fullmatch(origin) or (default_port and origin.endswith(default_port)):
            raise EnvValidationError(
                f"CORS_ALLOWED_ORIGINS: {origin!r} is no origin as browsers send it: "
                "scheme://host[:port] in lower case, without a path or the scheme's default port.",
                [],
            )
    return origins
