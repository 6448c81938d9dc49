"""Settings of both processes, from environment variables: typed, without Django.

A malformed value, or one missing in production, stops the start with a sentence that names it.
`DJANGO_SETTINGS_MODULE` selects the environment: every module but `settings.dev` and
`settings.test` is production.
"""

from pathlib import Path

from environs import Env, validate

from settings.cors import check_origins

env = Env()
_POSITIVE = validate.Range(min=1)
_NOT_NEGATIVE = validate.Range(min=0)
_SECONDS = validate.Range(min=0.01)


class InvalidSetting(ValueError):
    """A setting with an invalid value; the text names it."""


def require(*names: str) -> None:
    """Raises `InvalidSetting`, naming them all, if some of these are missing in production."""
    missing = [name for name in names if not env.str(name, "").strip()]
    if IS_PRODUCTION and missing:
        raise InvalidSetting(f"Production needs these settings: {', '.join(missing)}.")


def read_list(name: str) -> list[str]:
    """Returns the comma-separated items of a variable, trimmed, without empty ones."""
    return [item for part in env.str(name, "").split(",") if (item := part.strip())]


# settings.prod, settings.dev (nothing leaves the machine), or settings.test
DJANGO_SETTINGS_MODULE = env.str("DJANGO_SETTINGS_MODULE", "settings.prod")
IS_PRODUCTION = DJANGO_SETTINGS_MODULE not in ("settings.dev", "settings.test")
BASE_DIR = Path(__file__).resolve().parent.parent
# folder of local data; .data in the source tree by default
DATA_DIR = Path(env.str("DATA_DIR", str(BASE_DIR / ".data")))
LOG_LEVEL = env.str("LOG_LEVEL", "INFO")  # least severe level that is logged

# --- Secrets -------------------------------------------------------------------------------------
# secret that sessions and codes are derived from: at least 50 random characters
SECRET_KEY = env.str("SECRET_KEY", "").strip()
# earlier secrets, and the next, separated by commas: sessions and codes made with them are valid
SECRET_KEY_FALLBACKS = read_list("SECRET_KEY_FALLBACKS")

if not IS_PRODUCTION:
    SECRET_KEY = SECRET_KEY or "development-only-secret-key-that-production-refuses"
elif SECRET_KEY:  # settings.prod names every missing setting at once
    for secret in (SECRET_KEY, *SECRET_KEY_FALLBACKS):
        if len(secret) < 50 or len(set(secret)) < 5 or "development" in secret.lower():
            raise InvalidSetting(
                "SECRET_KEY and SECRET_KEY_FALLBACKS: use at least 50 random characters, and none"
                " of a development machine."
            )

# --- HTTP ----------------------------------------------------------------------------------------
DEVELOPMENT_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
# host names that requests may be for, separated by commas
ALLOWED_HOSTS = read_list("ALLOWED_HOSTS") if IS_PRODUCTION else DEVELOPMENT_HOSTS
# Enforced by api/http_server/request_body.py and api/writes/middleware.py.
BODY_MAX_BYTES = 64 * 1024
WEBHOOK_BODY_MAX_BYTES = 1024 * 1024  # SendGrid posts its events in batches of up to 768 KiB
# number of proxies in front whose `X-Forwarded-For` is trusted
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", 0, validate=_NOT_NEGATIVE)
# whether `X-Forwarded-Proto` is trusted: if a proxy in front sets it
TRUST_X_FORWARDED_PROTO = IS_PRODUCTION and env.bool("TRUST_X_FORWARDED_PROTO", False)
# whether requests by plain HTTP are redirected to HTTPS
SECURE_SSL_REDIRECT = IS_PRODUCTION and env.bool("SECURE_SSL_REDIRECT", True)
HSTS_SECONDS = 365 * 24 * 3600 if IS_PRODUCTION else 0
# origins whose pages may call the API, separated by commas (scheme://host[:port])
CORS_ALLOWED_ORIGINS = check_origins(read_list("CORS_ALLOWED_ORIGINS"))
# bearer token that /metrics requires, at least 20 characters; empty: closed in production
METRICS_TOKEN = env.str("METRICS_TOKEN", "").strip()
METRICS_PUBLIC = not IS_PRODUCTION  # without a token
if IS_PRODUCTION and METRICS_TOKEN and len(METRICS_TOKEN) < 20:
    raise InvalidSetting("METRICS_TOKEN needs at least 20 random characters.")
# folder of the metrics of all processes of one machine; DATA_DIR/metrics by default
METRICS_DIR = Path(env.str("METRICS_DIR", "") or DATA_DIR / "metrics")

# --- The read process ----------------------------------------------------------------------------
# URL of the profile Redis
REDIS_URL = env.str("REDIS_URL", "").strip() or "redis://127.0.0.1:6379/0"
# seconds that a read waits for a reply of Redis
READ_REDIS_TIMEOUT = env.float("READ_REDIS_TIMEOUT", 1.0, validate=_SECONDS)
READ_REDIS_MAX_PENDING = 10_000  # commands that wait for a reply
# seconds that a read waits for the backfill of a missing profile
READ_MISS_TIMEOUT = env.float("READ_MISS_TIMEOUT", 0.25, validate=_NOT_NEGATIVE)
# seconds for which a client-side cache entry is used after Redis' last reply, and for which writes
# wait before their response; 0: no cache
CLIENT_CACHE_MAX_STALENESS = env.float("CLIENT_CACHE_MAX_STALENESS", 0.02, validate=_NOT_NEGATIVE)
# bytes of the client-side cache of one read process
CLIENT_CACHE_MAX_BYTES = env.int("CLIENT_CACHE_MAX_BYTES", 8 * 1024 * 1024, validate=_POSITIVE)

# seconds until an idle connection is closed; longer than a proxy keeps its own
KEEP_ALIVE_TIMEOUT = env.float("KEEP_ALIVE_TIMEOUT", 75.0, validate=_SECONDS)
# seconds for a client to send a request's headers
HEADERS_TIMEOUT = env.float("HEADERS_TIMEOUT", 10.0, validate=_SECONDS)
# seconds for a client to send a request's body
BODY_TIMEOUT = env.float("BODY_TIMEOUT", 10.0, validate=_SECONDS)
# seconds without progress until a client that does not read its responses is disconnected
SEND_TIMEOUT = env.float("SEND_TIMEOUT", 30.0, validate=_SECONDS)
# seconds for a client to close its side of a connection that is being closed
LINGER_TIMEOUT = env.float("LINGER_TIMEOUT", 2.0, validate=_SECONDS)
# seconds from "not ready" until the listener closes, for load balancers that poll /readyz
SHUTDOWN_DELAY = env.float("SHUTDOWN_DELAY", 0.0, validate=_NOT_NEGATIVE)

# address of the write process, unix:/path or host:port; empty: a load balancer routes to it
WRITE_UPSTREAM = env.str("WRITE_UPSTREAM", "").strip()
# requests that a read process has in progress in the write process
WRITE_MAX_CONCURRENCY = env.int("WRITE_MAX_CONCURRENCY", 16, validate=_POSITIVE)
# requests that wait for that in a read process; further ones are a 503
WRITE_MAX_WAITING = env.int("WRITE_MAX_WAITING", 2048, validate=_NOT_NEGATIVE)
WRITE_THREADS = env.int("WRITE_THREADS", 8, validate=_POSITIVE)  # threads of one write process
# seconds for a request to the write process, waiting included
WRITE_TIMEOUT = env.float("WRITE_TIMEOUT", 9.5, validate=_SECONDS)
