"""Django's settings for all environments, with those of `settings.environment`, which the read
process shares.

A missing or malformed value stops the start with a sentence that names it.
"""

from datetime import timedelta
from urllib.parse import urlsplit

from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError
from redis.retry import Retry

from api import cors
from domain.postgres.backend.peewee_database import PeeweeDatabase
from domain.projection.redis_pool import Pool
from settings.database import parse_database_url
from settings.environment import *  # noqa: F403  # Django's settings have them, by the same names
from settings.environment import (
    BODY_MAX_BYTES,
    CORS_ALLOWED_ORIGINS,
    DATA_DIR,
    LOG_LEVEL,
    REDIS_URL,
    env,
)
from settings.logging_config import configure_logging
from settings.parsers import parse_p256_key
from settings.rate_limits import PRODUCTION_LIMITS, parse_rate_limits

DEBUG = env.bool("DEBUG", False)
PUBLIC_URL = env.str("PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
# The rules of api.cors, which the read process follows too.
CORS_ALLOW_METHODS = cors.ALLOWED_METHODS
CORS_ALLOW_HEADERS = cors.ALLOWED_HEADERS
CORS_EXPOSE_HEADERS = cors.EXPOSED_HEADERS
CORS_PREFLIGHT_MAX_AGE = cors.MAX_AGE

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "huey.contrib.djhuey",
    "domain.postgres",
    "workers",
    "api",
]
MIDDLEWARE = [
    "api.writes.middleware.MetricsMiddleware",
    "api.writes.middleware.RequestIDMiddleware",
    # Before all middleware that may respond, so that web clients can read errors too.
    *(["corsheaders.middleware.CorsMiddleware"] if CORS_ALLOWED_ORIGINS else []),
    "django.middleware.security.SecurityMiddleware",
    "api.writes.middleware.CommonMiddleware",
    "api.writes.middleware.ClientIPMiddleware",
    "api.writes.middleware.ProblemDetailsMiddleware",
    "api.writes.rate_limiting.RateLimitMiddleware",
    "api.writes.middleware.RequestBodyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "api.writes.middleware.AdminSessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "api.writes.middleware.AdminAuthenticationMiddleware",
    "api.writes.middleware.AdminMessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "api.urls"
APPEND_SLASH = False  # a redirect would lose the body; both spellings are routes instead
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True  # no collectstatic: files are found in the packages at the start
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CSRF_FAILURE_VIEW = "api.writes.error_handlers.csrf_failure"
# Not "no-referrer": browsers then send forms with `Origin: null`, and nobody could log in.
SECURE_REFERRER_POLICY = "same-origin"

# --- Postgres: the truth -----------------------------------------------------------------------
DATABASE_URL = env.str("DATABASE_URL", "") or "postgresql://127.0.0.1:5432/rollcall"
DATABASES = {
    "default": {
        **parse_database_url(DATABASE_URL),
        "ENGINE": "domain.postgres.backend",
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
    }
}
STATEMENT_TIMEOUT_MS = env.int("STATEMENT_TIMEOUT_MS", 5_000)  # 0: no limit
_options = DATABASES["default"]["OPTIONS"]
DATABASES["default"]["OPTIONS"] = {
    **_options,
    "prepare_threshold": 5,  # Django's own is None, which forbids `domain.postgres.prepared`
    "connect_timeout": 2,  # for each host
    # The client's own deadline, because a server that hangs enforces none.
    "response_timeout": STATEMENT_TIMEOUT_MS / 1000 + 1 if STATEMENT_TIMEOUT_MS else None,
    "tcp_user_timeout": 5_000,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "options": (
        f"{_options.get('options', '')} -c statement_timeout={STATEMENT_TIMEOUT_MS}"
        " -c idle_in_transaction_session_timeout=10000"
    ),
}

# --- Redis: profiles ---------------------------------------------------------------------------
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {
            "SOCKET_CONNECT_TIMEOUT": 0.5,
            "SOCKET_TIMEOUT": 1,  # above the relay's longest blocking wait
            "CONNECTION_POOL_CLASS": "domain.projection.redis_pool.CircuitBreakerPool",
            # One retry, at once, on a new connection: in place of one that a restarted Redis has
            # closed, or that leads to a demoted primary. Every command may be sent twice.
            "CONNECTION_POOL_KWARGS": {
                "retry": Retry(NoBackoff(), 1, (RedisConnectionError, ReadOnlyError))
            },
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",  # never pickle
        },
    }
}

# --- Huey: the pool and the wake-up ------------------------------------------------------------
QUEUE_URL = env.str("QUEUE_URL", "") or "redis://127.0.0.1:6379/1"
HUEY = {
    "name": "rollcall",
    "huey_class": "workers.batch_huey.BatchHuey",
    "immediate": False,  # djhuey's default is DEBUG: tasks would run inside the request
    "results": False,
    "connection": {
        # A repeated push would enqueue a task twice, so it is retried only after a demoted primary
        # has rejected it. The timeout must be above the consumer's blocking pop of one second.
        "connection_pool": Pool.from_url(
            QUEUE_URL,
            socket_connect_timeout=0.5,
            socket_timeout=2,
            retry=Retry(NoBackoff(), 1, (ReadOnlyError,)),
        )
    },
    "consumer": {
        "workers": env.int("HUEY_WORKERS", 8),
        "worker_type": "thread",  # they wait for providers; processes could be orphaned
        "graceful_signal": "TERM",
        "shutdown_timeout": 20,
        "periodic": True,
        "verbose": False,
    },
}
HUEY_DASHBOARD = env.bool("HUEY_DASHBOARD", True)
if HUEY_DASHBOARD:
    INSTALLED_APPS.append("huey.contrib.djhuey.stats")
HUEY_STATS = {
    "database": PeeweeDatabase(DATABASE_URL, **DATABASES["default"]["OPTIONS"]),
    "create_tables": False,  # a migration makes them, not every process at its start
    "max_events": 200_000,
    "capture_args": False,
}

# --- HTTP --------------------------------------------------------------------------------------
DATA_UPLOAD_MAX_MEMORY_SIZE = BODY_MAX_BYTES  # for forms
RATE_LIMITS = parse_rate_limits(env, PRODUCTION_LIMITS)
REST_FRAMEWORK = {
    "DEFAULT_PARSER_CLASSES": ["api.writes.json_parser.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "api.writes.json_parser.JSONOnlyNegotiation",
    "DEFAULT_METADATA_CLASS": None,
    "UNAUTHENTICATED_USER": None,
    "EXCEPTION_HANDLER": "api.writes.error_handlers.exception_handler",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Rollcall",
    "DESCRIPTION": "A cache-first user service. Errors are RFC 9457 problem documents.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "PREPROCESSING_HOOKS": ["api.writes.openapi.extra_paths.drop_slashless_routes"],
    "POSTPROCESSING_HOOKS": ["api.writes.openapi.extra_paths.add_extra_paths"],
}

# --- People and messages -----------------------------------------------------------------------
SESSION_LIFETIME = timedelta(days=env.int("SESSION_LIFETIME_DAYS", 30))
DEFAULT_PHONE_REGION = env.str("DEFAULT_PHONE_REGION", None)
# Longer than the slowest send (8 s), and short enough that messages of a killed worker are sent
# within a minute.
OUTBOX_LEASE = timedelta(seconds=env.int("OUTBOX_LEASE_SECONDS", 20))
OUTBOX_RETENTION = timedelta(days=env.int("OUTBOX_RETENTION_DAYS", 7))
UNVERIFIED_RETENTION = timedelta(days=env.int("UNVERIFIED_RETENTION_DAYS", 7))
IDEMPOTENCY_REPLAY_WINDOW = timedelta(minutes=10)  # for repeating a sign-up by its key
SERVICE_NAME = env.str("SERVICE_NAME", "Rollcall")
SMS_DOMAIN = env.str("SMS_DOMAIN", urlsplit(PUBLIC_URL).hostname or "localhost")

# Message quotas, enforced in Postgres at send time.
MESSAGES_PER_DAY = env.int("MESSAGES_PER_DAY", 5)  # to one address, for each purpose
# Between two messages to one address; doubles after each further one.
MESSAGE_COOLDOWN = timedelta(seconds=env.int("MESSAGE_COOLDOWN_SECONDS", 60))
SMS_PER_DAY = env.int("SMS_PER_DAY", 5_000)
SMS_PER_PREFIX_PER_DAY = env.int(
    "SMS_PER_PREFIX_PER_DAY", 500
)  # to numbers with the same first six characters
SMS_COUNTRIES: list[str] = env.list("SMS_COUNTRIES", [])  # ISO 3166-1, such as ES,PT; empty: all
# Stops text messages to a prefix of which fewer than this fraction converted, of at least so many.
SMS_CONVERSION_MIN_SAMPLE = env.int("SMS_CONVERSION_MIN_SAMPLE", 20)
SMS_CONVERSION_MIN_RATE = env.float("SMS_CONVERSION_MIN_RATE", 0.1)

MESSAGE_BACKEND = env.str("MESSAGE_BACKEND", "mailbox")  # or "providers": SendGrid and Vonage
MAILBOX_PATH = DATA_DIR / "mailbox.jsonl"
DEV_MAILBOX_ENABLED = False
PROVIDER_TIMEOUT = env.float("PROVIDER_TIMEOUT", 4.0)  # seconds, for each wait
SENDGRID_HOST = env.str("SENDGRID_HOST", "https://api.sendgrid.com")
SENDGRID_API_KEY = env.str("SENDGRID_API_KEY", "")
EMAIL_FROM = env.str("EMAIL_FROM", "")
VONAGE_HOST = env.str("VONAGE_HOST", "rest.nexmo.com")
VONAGE_API_KEY = env.str("VONAGE_API_KEY", "")
VONAGE_API_SECRET = env.str("VONAGE_API_SECRET", "")
SMS_FROM = env.str("SMS_FROM", "Rollcall")

# Delivery receipts: without a key all receipts of that provider are rejected.
SENDGRID_WEBHOOK_PUBLIC_KEY = parse_p256_key(env, "SENDGRID_WEBHOOK_PUBLIC_KEY")
VONAGE_SIGNATURE_SECRET = env.str("VONAGE_SIGNATURE_SECRET", "")
WEBHOOK_MAX_AGE = env.int("WEBHOOK_MAX_AGE", 600)  # seconds since it was signed

LOGGING = configure_logging(level=LOG_LEVEL)
