"""Settings of both processes, from environment variables: typed, without Django.

A malformed value, or one missing in production, stops the start with a sentence that names it.
`DJANGO_SETTINGS_MODULE` selects the environment: every module but `settings.dev` and
`settings.test` is production.
"""

import os
from pathlib import Path

from environs import Env

from settings.cors import parse_allowed_origins

env = Env()


class InvalidSetting(ValueError):
    """A setting with an invalid value; the text names it."""


IS_PRODUCTION = os.environ.get("DJANGO_SETTINGS_MODULE", "settings.prod") not in (
    "settings.dev",
    "settings.test",
)
BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.str("DATA_DIR", str(BASE_DIR / ".data")))
LOG_LEVEL = env.str("LOG_LEVEL", "INFO")


def require(*names: str) -> None:
    """Raises `InvalidSetting`, naming them all, if some of these are missing in production."""
    missing = [name for name in names if not env.str(name, "").strip()]
    if IS_PRODUCTION and missing:
        raise InvalidSetting(f"Production needs these settings: {', '.join(missing)}.")


def _read_list(name: str, default: str = "") -> list[str]:
    """Returns the comma-separated items of a variable, trimmed, without empty ones."""
    return [item for part in env.str(name, default).split(",") if (item := part.strip())]


def _read_number(name: str, default: float, *, minimum: float = 0.0) -> float:
    """Returns a number of at least `minimum`. Raises `InvalidSetting`."""
    value = env.float(name, default)
    if not minimum <= value < float("inf"):
        raise InvalidSetting(f"{name} must be a number of at least {minimum:g}.")
    return value


def _read_count(name: str, default: int, *, minimum: int = 0) -> int:
    """Returns a whole number of at least `minimum`. Raises `InvalidSetting`."""
    value = env.int(name, default)
    if value < minimum:
        raise InvalidSetting(f"{name} must be a whole number of at least {minimum}.")
    return value


# --- Secrets -------------------------------------------------------------------------------------
_DEVELOPMENT_KEY = "development-only-secret-key-that-production-refuses"
SECRET_KEY = env.str("SECRET_KEY", "").strip()
SECRET_KEY_FALLBACKS = _read_list("SECRET_KEY_FALLBACKS")


def _check_secret_keys() -> None:
    for secret in (SECRET_KEY, *SECRET_KEY_FALLBACKS):
        if len(secret) < 50 or len(set(secret)) < 5 or "development" in secret.lower():
            raise InvalidSetting(
                "SECRET_KEY and SECRET_KEY_FALLBACKS: use at least 50 random characters, and none"
                " of a development machine."
            )


if not IS_PRODUCTION:
    SECRET_KEY = SECRET_KEY or _DEVELOPMENT_KEY
elif SECRET_KEY:  # settings.prod names every missing setting at once
    _check_secret_keys()

# --- HTTP ----------------------------------------------------------------------------------------
DEVELOPMENT_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = _read_list("ALLOWED_HOSTS") if IS_PRODUCTION else DEVELOPMENT_HOSTS
BODY_MAX_BYTES = 64 * 1024
WEBHOOK_BODY_MAX_BYTES = 1024 * 1024  # SendGrid posts its events in batches of up to 768 KiB
TRUSTED_PROXIES = _read_count("TRUSTED_PROXIES", 0)  # see api.client_ip
# Whether to trust `X-Forwarded-Proto`.
TRUST_X_FORWARDED_PROTO = IS_PRODUCTION and env.bool("TRUST_X_FORWARDED_PROTO", False)
SECURE_SSL_REDIRECT = IS_PRODUCTION and env.bool("SECURE_SSL_REDIRECT", True)
HSTS_SECONDS = 365 * 24 * 3600 if IS_PRODUCTION else 0
# Origins of web clients, separated by commas (scheme://host[:port]); none by default.
CORS_ALLOWED_ORIGINS = parse_allowed_origins(env, "CORS_ALLOWED_ORIGINS")
METRICS_TOKEN = env.str("METRICS_TOKEN", "").strip()
METRICS_PUBLIC = not IS_PRODUCTION  # without a token
if IS_PRODUCTION and METRICS_TOKEN and len(METRICS_TOKEN) < 20:
    raise InvalidSetting("METRICS_TOKEN needs at least 20 random characters.")
# Where the processes of a machine write their metrics; not to be shared between machines.
METRICS_DIR = Path(env.str("METRICS_DIR", "") or DATA_DIR / "metrics")

# --- The read process ----------------------------------------------------------------------------
REDIS_URL = env.str("REDIS_URL", "").strip() or "redis://127.0.0.1:6379/0"
READ_REDIS_TIMEOUT = _read_number(
    "READ_REDIS_TIMEOUT", 1.0, minimum=0.01
)  # seconds, for each reply
READ_REDIS_MAX_PENDING = _read_count("READ_REDIS_MAX_PENDING", 10_000, minimum=1)
READ_MISS_TIMEOUT = _read_number(
    "READ_MISS_TIMEOUT", 0.25
)  # seconds that a read waits for a backfill
# Seconds for which a client-side cache entry is used after the last reply of Redis, and for which
# writes wait before their response; 0 disables the cache.
CLIENT_CACHE_MAX_STALENESS = _read_number("CLIENT_CACHE_MAX_STALENESS", 0.02)
CLIENT_CACHE_MAX_BYTES = _read_count("CLIENT_CACHE_MAX_BYTES", 8 * 1024 * 1024, minimum=1)

# Deadlines of a client's connection, in seconds.
KEEP_ALIVE_TIMEOUT = _read_number("KEEP_ALIVE_TIMEOUT", 75.0, minimum=0.1)
HEADERS_TIMEOUT = _read_number("HEADERS_TIMEOUT", 10.0, minimum=0.1)
BODY_TIMEOUT = _read_number("BODY_TIMEOUT", 10.0, minimum=0.1)
SEND_TIMEOUT = _read_number("SEND_TIMEOUT", 30.0, minimum=0.1)  # without progress
LINGER_TIMEOUT = _read_number("LINGER_TIMEOUT", 2.0, minimum=0.1)
# Seconds from "not ready" until the listener closes, for load balancers that poll /readyz.
SHUTDOWN_DELAY = _read_number("SHUTDOWN_DELAY", 0.0)

# The write process: unix:/path or host:port; empty: no proxy, a load balancer routes.
WRITE_UPSTREAM = env.str("WRITE_UPSTREAM", "").strip()
WRITE_MAX_CONCURRENCY = _read_count("WRITE_MAX_CONCURRENCY", 16, minimum=1)  # of one read process
WRITE_MAX_WAITING = _read_count("WRITE_MAX_WAITING", 2048)
WRITE_THREADS = _read_count("WRITE_THREADS", 8, minimum=1)  # of one write process
WRITE_TIMEOUT = _read_number("WRITE_TIMEOUT", 9.5, minimum=0.1)  # seconds, waiting included
