"""DATABASE_URL and time limits as Django's settings."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

_NAMES = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}


def configure_database(url: str, statement_timeout_ms: int) -> dict[str, Any]:
    """Returns a value for `DATABASES`. libpq parses the URL, so it may name several hosts.

    Raises ImproperlyConfigured, whose text has no part of the URL: a password may be in it.
    """
    try:
        params = conninfo_to_dict(url)
    except ProgrammingError:
        raise ImproperlyConfigured(
            "DATABASE_URL must be a connection URI of PostgreSQL: postgresql://USER:PASSWORD@HOST/NAME"
        ) from None
    if "," in str(params.get("host")):
        # With one host it would only be an earlier error, and reads need no primary.
        params.setdefault("target_session_attrs", "read-write")
    return {
        **{name: params.pop(key, "") for name, key in _NAMES.items()},
        "ENGINE": "domain.postgres.backend",
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            **params,
            "prepare_threshold": 5,  # Django's None would forbid `domain.postgres.prepared`
            "connect_timeout": 2,  # for each host
            # The client's own deadline, because a server that hangs enforces none.
            "response_timeout": statement_timeout_ms / 1000 + 1 if statement_timeout_ms else None,
            "tcp_user_timeout": 5_000,
            "keepalives_idle": 30,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "options": (
                f"{params.get('options', '')} -c statement_timeout={statement_timeout_ms}"
                " -c idle_in_transaction_session_timeout=10000"
            ),
        },
    }
