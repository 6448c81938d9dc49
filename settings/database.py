"""DATABASE_URL as Django's settings, parsed by libpq: it takes several hosts."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

_NAMES = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}


def parse_database_url(url: str) -> dict[str, Any]:
    """Returns a value for `DATABASES`; parameters without a Django name become its OPTIONS.

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
    return {name: params.pop(key, "") for name, key in _NAMES.items()} | {"OPTIONS": params}
