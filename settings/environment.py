"""Settings of both processes, from environment variables: typed, without Django.

A malformed value, or one missing in production, stops the start with a sentence that names it.
`DJANGO_SETTINGS_MODULE` selects the environment: every module but `settings.dev` and
`settings.test` is production.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, override

from environs import Env, EnvValidationError, ValidationError, validate

from api.reads.socket_address import parse_upstream
from domain.model.language import SUPPORTED
from domain.redis_url import parse_url
from settings import validators


class _Env(Env):
    """Reads variables trimmed, since a secret from a file ends in a line break. A blank one counts
    as unset.
    """

    @override
    def _get_value(self, env_key: str, default: Any) -> Any:
        value = super()._get_value(env_key, default)
        if not isinstance(value, str) or value is default:
            return value
        try:
            validators.printable(value := value.strip())
        except ValidationError as error:
            raise EnvValidationError(f"{env_key}: {error}", error.messages) from None
        return value or default


env = _Env()


class InvalidSetting(ValueError):
    """A setting with an invalid value; the text names it."""


def require(*names: str) -> None:
    """Raises `InvalidSetting`, naming them all, if some of these are missing in production."""
    missing = [name for name in names if not env.str(name, "")]
    if IS_PRODUCTION and missing:
        raise InvalidSetting(f"Production needs these settings: {', '.join(missing)}.")


def read_list(name: str, validate: Callable[[str], object] = validators.printable) -> list[str]:
    """Returns the comma-separated items of a variable, trimmed, without empty ones.

    Raises `EnvValidationError`, which names the variable, if it has nothing but commas, or for what
    `validate` raises for an item.
    """

    def validate_all(text: str) -> None:
        items = _split(text)
        if not items:
            raise ValidationError("It has no items.")
        for item in items:
            validate(item)

    return _split(env.str(name, "", validate=validate_all))


def read_folder(name: str) -> Path | None:
    """Returns the folder that a variable names, None if it is unset. Raises `EnvValidationError`,
    which names the variable, if there is no such folder.
    """

    def validate_folder(text: str) -> None:
        if text and not (Path(text).is_absolute() and Path(text).is_dir()):
            raise ValidationError("It must be the absolute path of a folder that exists.")

    text = env.str(name, "", validate=validate_folder)
    return Path(text) if text else None


def _split(text: str) -> list[str]:
    return [item for part in text.split(",") if (item := part.strip())]


# settings.prod, settings.dev (nothing leaves the machine), or settings.test
DJANGO_SETTINGS_MODULE = env.str("DJANGO_SETTINGS_MODULE", "settings.prod")
IS_PRODUCTION = DJANGO_SETTINGS_MODULE not in ("settings.dev", "settings.test")
BASE_DIR = Path(__file__).resolve().parent.parent
# folder of local data; .data in the source tree by default
DATA_DIR = Path(env.str("DATA_DIR", str(BASE_DIR / ".data")))
# least severe level that is logged: DEBUG, INFO, WARNING, ERROR or CRITICAL
LOG_LEVEL = env.str(
    "LOG_LEVEL",
    "INFO",
    validate=validators.one_of(("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")),
).upper()

# language of messages, pages and errors for people who prefer none that there is
DEFAULT_LANGUAGE = env.str("DEFAULT_LANGUAGE", "en", validate=validators.one_of(SUPPORTED)).lower()

# --- Secrets -------------------------------------------------------------------------------------
# secret that sessions and codes are derived from: at least 50 random characters
SECRET_KEY = env.str("SECRET_KEY", "")
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
ALLOWED_HOSTS = read_list("ALLOWED_HOSTS", validators.allowed_host)
ALLOWED_HOSTS = ALLOWED_HOSTS if IS_PRODUCTION else DEVELOPMENT_HOSTS
# Not settings: clients rely on them. Enforced by api/http_server/ (connection.py by the length that
# is announced, request_body.py while reading), api/wsgi.py and api/writes/middleware.py.
BODY_MAX_BYTES = 64 * 1024
INTROSPECTION_BODY_MAX_BYTES = 128 * 1024  # a thousand tokens take 103 KB
WEBHOOK_BODY_MAX_BYTES = 1024 * 1024  # SendGrid posts its events in batches of up to 768 KiB
# number of proxies in front whose `X-Forwarded-For` is trusted; 0 behind one: all clients share one
# rate limit
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", 0, validate=validate.Range(min=0, max=100))
# whether `X-Forwarded-Proto` is trusted: if a proxy in front sets it
TRUST_X_FORWARDED_PROTO = IS_PRODUCTION and env.bool("TRUST_X_FORWARDED_PROTO", False)
# whether requests by plain HTTP are redirected to HTTPS
SECURE_SSL_REDIRECT = IS_PRODUCTION and env.bool("SECURE_SSL_REDIRECT", True)
HSTS_SECONDS = 365 * 24 * 3600 if IS_PRODUCTION else 0
# origins whose pages may call the API, separated by commas (scheme://host[:port])
CORS_ALLOWED_ORIGINS = tuple(read_list("CORS_ALLOWED_ORIGINS", validators.origin))
# bearer token that /metrics requires, at least 20 characters; empty: closed in production
METRICS_TOKEN = env.str("METRICS_TOKEN", "", validate=validators.token)
METRICS_PUBLIC = not IS_PRODUCTION  # without a token
if IS_PRODUCTION and METRICS_TOKEN and len(METRICS_TOKEN) < 20:
    raise InvalidSetting("METRICS_TOKEN needs at least 20 random characters.")
# folder of the metrics of all processes of one machine; DATA_DIR/metrics by default
METRICS_DIR = Path(env.str("METRICS_DIR", "") or DATA_DIR / "metrics")
# port of all interfaces on which a worker or relay serves its metrics, where it shares METRICS_DIR
# with no process that does; without METRICS_TOKEN
METRICS_PORT = env.int("METRICS_PORT", 0, validate=validate.Range(min=0, max=65535))

# --- The read process ----------------------------------------------------------------------------
# URL of the profile Redis: redis://, rediss:// or unix://; redis+sentinel:// or redis+cluster://
# with several hosts (docs/deployment.md#redis-sentinel-and-redis-cluster)
REDIS_URL = env.str(
    "REDIS_URL", "redis://127.0.0.1:6379/0", validate=validators.parsed_by(parse_url)
)
# seconds that a read waits for a reply of Redis
READ_REDIS_TIMEOUT = env.float("READ_REDIS_TIMEOUT", 1.0, validate=validators.timeout)
READ_REDIS_MAX_PENDING = 10_000  # commands that wait for a reply
# seconds that a read waits for the backfill of a missing profile
READ_MISS_TIMEOUT = env.float("READ_MISS_TIMEOUT", 0.25, validate=validators.delay)
# seconds for which a client-side cache entry is used, from when the last command that Redis has
# replied to was sent; and for which writes wait before their response; 0: no cache
CLIENT_CACHE_MAX_STALENESS = env.float(
    "CLIENT_CACHE_MAX_STALENESS", 0.02, validate=validators.delay
)
# bytes of the client-side cache of one read process
CLIENT_CACHE_MAX_BYTES = env.int(
    "CLIENT_CACHE_MAX_BYTES", 8 * 1024 * 1024, validate=validators.at_least_one
)

# seconds until an idle connection is closed; longer than a proxy keeps its own, such as 620
KEEP_ALIVE_TIMEOUT = env.float("KEEP_ALIVE_TIMEOUT", 75.0, validate=validators.timeout)
# seconds for a client to send a request's headers
HEADERS_TIMEOUT = env.float("HEADERS_TIMEOUT", 10.0, validate=validators.timeout)
# seconds for a client to send a request's body
BODY_TIMEOUT = env.float("BODY_TIMEOUT", 10.0, validate=validators.timeout)
# seconds without progress until a client that does not read its responses is disconnected
SEND_TIMEOUT = env.float("SEND_TIMEOUT", 30.0, validate=validators.timeout)
# seconds for a client to close its side of a connection that is being closed
LINGER_TIMEOUT = env.float("LINGER_TIMEOUT", 2.0, validate=validators.timeout)
# seconds from "not ready" until the listener closes, for load balancers that poll /readyz
SHUTDOWN_DELAY = env.float("SHUTDOWN_DELAY", 0.0, validate=validators.delay)

# address of the write process, unix:/path or host:port; empty: a load balancer routes to it
WRITE_UPSTREAM = env.str("WRITE_UPSTREAM", "", validate=validators.parsed_by(parse_upstream))
# requests that a read process has in progress in the write process
WRITE_MAX_CONCURRENCY = env.int("WRITE_MAX_CONCURRENCY", 16, validate=validators.at_least_one)
# requests that wait for that in a read process; further ones are a 503
WRITE_MAX_WAITING = env.int("WRITE_MAX_WAITING", 2048, validate=validators.not_negative)
WRITE_THREADS = env.int(
    "WRITE_THREADS", 8, validate=validators.at_least_one
)  # threads of one write process
# seconds for a request to the write process, waiting included
WRITE_TIMEOUT = env.float("WRITE_TIMEOUT", 9.5, validate=validators.timeout)
