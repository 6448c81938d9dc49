"""Parses `REDIS_URL` and `QUEUE_URL`: a server, a primary known to Sentinels, or a Cluster."""

import re
import ssl
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

_SCHEME = re.compile(r"(?P<tls>rediss?)(?:\+(?P<topology>sentinel|cluster))?|unix")
_HOST = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_SERVICE_NAME = re.compile(r"/([A-Za-z0-9._-]+)/?")  # the characters that Sentinel accepts
_TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs")
_SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")
_PORTS = {"sentinel": 26379}

SINGLE, SENTINEL, CLUSTER = "single", "sentinel", "cluster"


class Credentials(NamedTuple):
    """A user of Redis or of Sentinel; both empty: none."""

    username: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"Credentials({bool(self.password)})"

    def auth_command(self) -> list[tuple[str, ...]]:
        """Returns the command that authenticates, if there is a password."""
        user = [self.username] if self.username else []
        return [("AUTH", *user, self.password)] if self.password else []


class RedisUrl(NamedTuple):
    """Where Redis is, and how to log in.

    `hosts` are the server, the Sentinels that know the primary by `service_name`, or some nodes of
    the Cluster; with a unix socket there is `path` instead. `tls_options`, named as in redis-py,
    are None without TLS; `ssl_context` is made from them.
    """

    topology: str
    hosts: list[tuple[str, int]]
    path: str = ""
    service_name: str = ""
    database: int = 0
    credentials: Credentials = Credentials()
    sentinel_credentials: Credentials = Credentials()
    tls_options: dict[str, str] | None = None
    ssl_context: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        return f"RedisUrl({self.topology}, {self.hosts or self.path})"

    def handshake(self) -> list[tuple[str, ...]]:
        """Returns the commands that authenticate and select the database."""
        select = [("SELECT", str(self.database))] if self.database else []
        return [*self.credentials.auth_command(), *select]


def parse_url(url: str) -> RedisUrl:
    """Parses a URL.

    redis://user:password@host:port/db, rediss:// (TLS) and unix://user:password@/path?db=N are
    redis-py's forms. redis+sentinel://user:password@host:port,host:port/SERVICE_NAME?db=N names
    Sentinels, which have credentials of their own (sentinel_username, sentinel_password), and
    redis+cluster://user:password@host:port,host:port nodes; rediss+sentinel:// and
    rediss+cluster:// are the same with TLS. TLS options are named as in redis-py. Raises
    `ValueError` for anything that would be ignored, with a text that does not repeat the URL,
    because it may contain a password.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # urllib's text repeats a part of the URL
        raise _invalid_host() from None
    topology, has_tls = _parse_scheme(parts.scheme)
    if parts.fragment:
        raise ValueError("It has a #, which a password has percent-encoded.")
    options = _parse_options(parts, topology, has_tls=has_tls)
    hosts, path = _parse_location(parts, topology)
    tls_options = {k: v for k, v in options.items() if k in _TLS_OPTIONS} if has_tls else None
    return RedisUrl(
        topology,
        hosts,
        path,
        _parse_service_name(parts.path) if topology == SENTINEL else "",
        _parse_database(parts, topology, options),
        _parse_credentials(parts.netloc.rpartition("@")[0]),
        _sentinel_credentials(options),
        tls_options,
        None if tls_options is None else _ssl_context(tls_options),
    )


def parse_queue_url(url: str) -> RedisUrl:
    """Parses the URL of the queue. Raises `ValueError` as `parse_url` does, and for a Cluster."""
    parsed = parse_url(url)
    if parsed.topology == CLUSTER:
        raise ValueError("The queue cannot be in a Redis Cluster: name a server, or Sentinels.")
    return parsed


def _parse_scheme(scheme: str) -> tuple[str, bool]:
    """Returns the topology, and whether TLS is used."""
    if not (match := _SCHEME.fullmatch(scheme)):
        raise ValueError(
            "It must begin with redis://, rediss:// or unix://; or redis+sentinel:// or"
            " redis+cluster://, also with rediss."
        )
    return match["topology"] or SINGLE, match["tls"] == "rediss"


def _parse_location(parts: SplitResult, topology: str) -> tuple[list[tuple[str, int]], str]:
    """Returns the hosts with their ports, or no host and the path of a unix socket."""
    netloc = parts.netloc.rpartition("@")[2]
    if parts.scheme == "unix":
        if netloc or len(parts.path) < 2:
            raise ValueError("With unix:// it must have an absolute path, and no host.")
        return [], unquote(parts.path)
    if not netloc:
        raise ValueError("It must name a host.")
    names = netloc.split(",") if topology != SINGLE else [netloc]
    return [_parse_host(name, _PORTS.get(topology, 6379)) for name in names], ""


def _parse_host(text: str, default_port: int) -> tuple[str, int]:
    match = _HOST.fullmatch(text)
    port = int(match["port"] or default_port) if match else 0
    if not match or not 0 < port < 65536:
        raise _invalid_host()
    return match["host"].strip("[]"), port


def _invalid_host() -> ValueError:
    return ValueError(
        "After the password it must have host or host:port, with a port from 1 to 65535 (several"
        " for Sentinel and Cluster, separated by commas); special characters of a password must be"
        " percent-encoded."
    )


def _parse_options(parts: SplitResult, topology: str, *, has_tls: bool) -> dict[str, str]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    known = {
        *(() if topology == CLUSTER else ("db",)),
        *(_TLS_OPTIONS if has_tls else ()),
        *(_SENTINEL_OPTIONS if topology == SENTINEL else ()),
    }
    if unknown := options.keys() - known:
        raise ValueError(f"It has unknown options: {', '.join(sorted(unknown))}.")
    return options


def _parse_service_name(path: str) -> str:
    if not (match := _SERVICE_NAME.fullmatch(path)):
        raise ValueError("It must name the service of the Sentinels: redis+sentinel://host/NAME.")
    return match[1]


def _parse_database(parts: SplitResult, topology: str, options: dict[str, str]) -> int:
    in_path = parts.path.strip("/") if parts.scheme in ("redis", "rediss") else ""
    if topology == CLUSTER and parts.path not in ("", "/", "/0"):
        raise ValueError("A Redis Cluster has no databases: nothing may follow the hosts.")
    if in_path and "db" in options:
        raise ValueError("It names a database twice.")
    database = in_path or options.get("db", "0")
    if not re.fullmatch("[0-9]{1,5}", database):
        raise ValueError("It names a database that is not a number.")
    return int(database)


def _parse_credentials(userinfo: str) -> Credentials:
    username, _, password = userinfo.partition(":")
    if username and not password:
        raise ValueError("It has a user without a password.")
    return Credentials(unquote(username), unquote(password))


def _sentinel_credentials(options: dict[str, str]) -> Credentials:
    credentials = Credentials(*(options.get(name, "") for name in _SENTINEL_OPTIONS))
    if credentials.username and not credentials.password:
        raise ValueError("It has a user of the Sentinels without a password.")
    return credentials


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
