"""Parses `REDIS_URL` and `QUEUE_URL`."""

import re
import ssl
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from api.reads.socket_address import SocketAddress

_SCHEMES = ("redis", "rediss", "unix")
_TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs")


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
    try:
        parts = urlsplit(url)
        port = 6379 if parts.port is None else parts.port
        if not port:
            raise ValueError
    except ValueError:  # urllib's text repeats what stands in the place of the port
        raise ValueError(
            "The port must be a number from 1 to 65535, and special characters of a password be"
            " percent-encoded."
        ) from None
    if parts.scheme not in _SCHEMES:
        raise ValueError("It must begin with redis://, rediss:// or unix://.")
    options = _parse_options(parts)
    return RedisServer(
        SocketAddress(
            path=unquote(parts.path) if parts.scheme == "unix" else "",
            host=parts.hostname or "",
            port=port,
            ssl_context=_ssl_context(options) if parts.scheme == "rediss" else None,
        ),
        _handshake(parts, options.get("db", "0")),
    )


def _parse_options(parts: SplitResult) -> dict[str, str]:
    """Returns the options, and the database of the path as one of them."""
    is_unix = parts.scheme == "unix"
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.fragment:
        raise ValueError("It has a #, which a password has percent-encoded.")
    if is_unix == bool(parts.hostname) or (is_unix and len(parts.path) < 2):
        raise ValueError("It must name a host; with unix:// an absolute path, and no host.")
    known = ("db", *_TLS_OPTIONS) if parts.scheme == "rediss" else ("db",)
    if unknown := options.keys() - set(known):
        raise ValueError(f"It has unknown options: {', '.join(sorted(unknown))}.")
    if not is_unix and parts.path not in ("", "/"):
        if "db" in options:
            raise ValueError("It names a database twice.")
        options["db"] = parts.path.removeprefix("/").removesuffix("/")
    if not re.fullmatch("[0-9]{1,5}", options.get("db", "0")):
        raise ValueError("It names a database that is not a number.")
    return options


def _handshake(parts: SplitResult, database: str) -> list[tuple[str, ...]]:
    commands: list[tuple[str, ...]] = []
    if parts.password:
        user = [unquote(parts.username)] if parts.username else []
        commands.append(("AUTH", *user, unquote(parts.password)))
    elif parts.username:
        raise ValueError("It has a user without a password.")
    if int(database):
        commands.append(("SELECT", database))
    return commands


def _ssl_context(options: dict[str, str]) -> ssl.SSLContext:
    verify = options.get("ssl_cert_reqs", "required")
    if verify not in ("required", "none"):
        raise ValueError("ssl_cert_reqs must be required or none.")
    if "ssl_keyfile" in options and "ssl_certfile" not in options:
        raise ValueError("ssl_keyfile needs ssl_certfile.")
    try:
        context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
        if certificate := options.get("ssl_certfile"):
            context.load_cert_chain(certificate, options.get("ssl_keyfile"))
    except OSError as error:  # as TLS errors are
        raise ValueError(f"A certificate or key cannot be read: {error.strerror}.") from None
    if verify == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
