"""Settings of Postgres: DATABASE_URL and time limits."""

import re
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from environs import validate
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from settings.environment import env

_NAMES = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
# Each connection sets these itself: two have a setting, and the code relies on the others.
_REFUSED_OPTIONS = re.compile(
    "statement_timeout|idle_in_transaction_session_timeout|datestyle|intervalstyle|timezone"
    "|standard_conforming_strings",
    re.IGNORECASE,
)
# Values that libpq would refuse only when it connects.
_VALUES = {
    "port": r"(?:[1-9][0-9]{0,4})?(?:,(?:[1-9][0-9]{0,4})?)*",
    "connect_timeout": "[0-9]{1,6}",
    "client_encoding": "(?i:utf-?8)",
    "sslmode": "disable|allow|prefer|require|verify-ca|verify-full",
    "target_session_attrs": "any|read-write|read-only|primary|standby|prefer-standby",
}


def configure_database(url: str, statement_timeout_ms: int) -> dict[str, Any]:
    """Returns a value for `DATABASES`. libpq parses the URL, so it may name several hosts, and has
    libpq's parameters; those of time limits and keepalives win over the ones here.

    Raises ImproperlyConfigured, whose text has no value of the URL: a password may be in it.
    """
    params = _parse_url(url)
    if "," in str(params.get("host")):
        # With one host it would only be an earlier error, and reads need no primary.
        params.setdefault("target_session_attrs", "read-write")
    options = f"{params.pop('options', '')} -c statement_timeout={statement_timeout_ms}"
    return {
        **{name: params.pop(key, "") for name, key in _NAMES.items()},
        "ENGINE": "domain.postgres.backend",
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "prepare_threshold": 5,  # Django's None would forbid `domain.postgres.prepared`
            "connect_timeout": 2,  # for each host
            # The client's own deadline, because a server that hangs enforces none.
            "response_timeout": statement_timeout_ms / 1000 + 1 if statement_timeout_ms else None,
            "tcp_user_timeout": 5_000,
            "keepalives_idle": 30,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            **params,
            "client_encoding": "UTF8",
            "options": f"{options} -c idle_in_transaction_session_timeout=10000".lstrip(),
        },
    }


def _parse_url(url: str) -> dict[str, Any]:
    if not url.startswith(("postgresql://", "postgres://")):
        raise ImproperlyConfigured(
            "DATABASE_URL must be a connection URI of PostgreSQL:"
            " postgresql://USER:PASSWORD@HOST/NAME"
        )
    try:
        params = conninfo_to_dict(url)
    except ProgrammingError as error:
        # The other messages of libpq repeat a value.
        unknown = re.search(r'invalid URI query parameter: "(\w+)"', str(error))
        reason = f"has a parameter that libpq does not know: {unknown[1]}" if unknown else ""
        raise ImproperlyConfigured(
            f"DATABASE_URL {reason or 'is malformed: percent-encode special characters'}."
        ) from None
    hosts = str(params.get("host", params.get("hostaddr", ""))).split(",")
    if not ("service" in params or (params.get("dbname") and all(hosts))):
        raise ImproperlyConfigured(
            "DATABASE_URL must name host and database: postgresql://HOST/NAME, or"
            " postgresql:///NAME?host=/PATH for a unix socket."
        )
    _check_values(params)
    return params


def _check_values(params: dict[str, Any]) -> None:
    for name, pattern in _VALUES.items():
        if not re.fullmatch(pattern, str(params.get(name, ""))) and name in params:
            raise ImproperlyConfigured(f"DATABASE_URL: {name} has an invalid value.")
    if any(int(port or 0) > 65535 for port in str(params.get("port", "")).split(",")):
        raise ImproperlyConfigured("DATABASE_URL: a port must be a number from 1 to 65535.")
    options = str(params.get("options", "")).replace("-", "_")  # libpq takes both for one
    if refused := _REFUSED_OPTIONS.search(options):
        raise ImproperlyConfigured(
            f"DATABASE_URL: options may not have {refused[0]}; there is STATEMENT_TIMEOUT_MS."
        )


# URL of Postgres; several hosts are tried in order until one accepts writes
DATABASE_URL = env.str("DATABASE_URL", "postgresql://127.0.0.1:5432/rollcall")
# milliseconds that a statement may take in Postgres; 0: no limit
STATEMENT_TIMEOUT_MS = env.int(
    "STATEMENT_TIMEOUT_MS", 5_000, validate=validate.Range(min=0, max=86_400_000)
)
DATABASES = {"default": configure_database(DATABASE_URL, STATEMENT_TIMEOUT_MS)}
