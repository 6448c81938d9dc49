"""Parses `REDIS_URL`."""

import ssl
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from api.reads.socket_address import SocketAddress

_SCHEMES = ("redis", "rediss", "unix")
_OPTIONS = ("db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs")


class RedisServer(NamedTuple):
    """A server, and the commands that authenticate and select the database."""

    address: SocketAddress
    handshake: list[tuple[str, ...]]

    def __repr__(self) -> str:
        return f"RedisServer({self.address!r})"


def parse_url(url: str) -> RedisServer:
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
    address = SocketAddress(
        path=unquote(parts.path) if unix else "",
        host=parts.hostname or "localhost",
        port=parts.port or 6379,
        ssl_context=_ssl_context(options) if parts.scheme == "rediss" else None,
    )
    return RedisServer(address, _handshake(parts, database))


def _handshake(parts: SplitResult, database: str) -> list[tuple[str, ...]]:
    commands: list[tuple[str, ...]] = []
    if parts.password:
        user = [unquote(parts.username)] if parts.username else []
        commands.append(("AUTH", *user, unquote(parts.password)))
    if database != "0":
        commands.append(("SELECT", database))
    return commands


def _ssl_context(options: dict[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
    if certificate := options.get("ssl_certfile"):
        context.load_cert_chain(certificate, options.get("ssl_keyfile"))
    if options.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
