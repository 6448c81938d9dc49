"""Parses `REDIS_URL`."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

_SCHEMES = ("redis", "rediss", "unix")
_OPTIONS = ("db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs")


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """A Redis server and database. `path` is that of a unix socket, and empty for TCP.

    `handshake` are the commands that authenticate and select the database.
    """

    host: str
    port: int
    path: str
    ssl_context: ssl.SSLContext | None
    handshake: tuple[tuple[str, ...], ...]

    async def connect[P: asyncio.Protocol](self, protocol: Callable[[], P]) -> P:
        """Opens a connection. Raises `OSError`, which TLS errors are too."""
        loop = asyncio.get_running_loop()
        if self.path:
            return (await loop.create_unix_connection(protocol, self.path))[1]
        connection = await loop.create_connection(
            protocol, self.host, self.port, ssl=self.ssl_context
        )
        return connection[1]


def parse_url(url: str) -> ConnectionOptions:
    """Parses a URL in redis-py's form.

    redis://user:password@host:port/db, rediss:// (TLS), unix://user:password@/path?db=N; TLS
    options are named as in redis-py. Raises `ValueError` for anything that would be ignored, with
    a text that does not repeat the URL, because it may contain a password.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    if parts.scheme not in _SCHEMES:
        raise ValueError("REDIS_URL must begin with redis://, rediss:// or unix://")
    if unknown := options.keys() - set(_OPTIONS):
        raise ValueError(f"REDIS_URL has unknown options: {sorted(unknown)}")
    unix = parts.scheme == "unix"
    database = options.get("db") or ("" if unix else parts.path.strip("/")) or "0"
    if not (database.isascii() and database.isdigit()):
        raise ValueError("REDIS_URL names a database that is not a number")
    return ConnectionOptions(
        host=parts.hostname or "localhost",
        port=parts.port or 6379,
        path=unquote(parts.path) if unix else "",
        ssl_context=_ssl_context(options) if parts.scheme == "rediss" else None,
        handshake=_handshake(parts.username, parts.password, database),
    )


def _handshake(
    user: str | None, password: str | None, database: str
) -> tuple[tuple[str, ...], ...]:
    """Returns the first commands. PING is last: its reply tells whether Redis is ready."""
    commands: list[tuple[str, ...]] = []
    if password:
        names = (unquote(user),) if user else ()
        commands.append(("AUTH", *names, unquote(password)))
    if database != "0":
        commands.append(("SELECT", database))
    return (*commands, ("PING",))


def _ssl_context(options: dict[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
    if certificate := options.get("ssl_certfile"):
        context.load_cert_chain(certificate, options.get("ssl_keyfile"))
    if options.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
