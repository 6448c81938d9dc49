"""Settings that every environment shares, read from the environment here and nowhere else.

A value that is missing or malformed stops the start with a sentence that names it.
"""

import re
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import dj_database_url
from environs import Env, validate
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from domain.stores.redis_command import Pool
from settings.keys import p256_key
from settings.limits import TIGHT, rate_limits
from settings.logs import logging_config

env = Env()
BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.str("DATA_DIR", str(BASE_DIR / ".data")))

DEBUG = env.bool("DEBUG", False)
SECRET_KEY = env.str("SECRET_KEY", "")
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", [])
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", [])
PUBLIC_URL = env.str("PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "huey.contrib.djhuey",
    "domain.stores",
    "workers",
    "api",
]
MIDDLEWARE = [
    "api.middleware.Counted",
    "api.middleware.RequestId",
    "django.middleware.security.SecurityMiddleware",
    "api.middleware.Problems",
    "api.limits.RateLimits",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "api.middleware.Sessions",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "api.middleware.Authentication",
    "api.middleware.Messages",
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
WHITENOISE_USE_FINDERS = True  # no collectstatic: they are found in the packages at the start
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CSRF_FAILURE_VIEW = "api.problems.csrf_failure"
# Not "no-referrer": browsers then send a form with `Origin: null`, and nobody could log in.
SECURE_REFERRER_POLICY = "same-origin"

# --- Postgres: the truth -----------------------------------------------------------------------
DATABASE_URL = env.str("DATABASE_URL", "") or "postgresql://127.0.0.1:5432/rollcall"
DATABASES = {
    "default": dj_database_url.parse(
        DATABASE_URL, "domain.stores.postgres", conn_max_age=600, conn_health_checks=True
    )
}
DATABASES["default"]["OPTIONS"] = {
    **DATABASES["default"].get("OPTIONS", {}),
    "prepare_threshold": 5,  # Django's own is None, which forbids `domain.stores.prepared`
    "connect_timeout": 2,
    "tcp_user_timeout": 5_000,
    "options": (
        f"-c statement_timeout={env.int('STATEMENT_TIMEOUT_MS', 5_000)}"
        " -c idle_in_transaction_session_timeout=10000"
    ),
}

# --- Redis: profiles ---------------------------------------------------------------------------
REDIS_URL = env.str("REDIS_URL", "") or "redis://127.0.0.1:6379/0"
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {
            "SOCKET_CONNECT_TIMEOUT": 0.5,
            "SOCKET_TIMEOUT": 1,  # above the relay's longest blocking wait
            "CONNECTION_POOL_CLASS": "domain.stores.redis_command.Pool",
            # One retry, at once: it replaces a connection that a restarted Redis has closed.
            # Every command sent here may be sent twice.
            "CONNECTION_POOL_KWARGS": {
                "retry": Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
            },
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",  # never pickle
        },
    }
}

# --- Huey: the pool and the wake-up ------------------------------------------------------------
QUEUE_URL = env.str("QUEUE_URL", "") or "redis://127.0.0.1:6379/1"
HUEY = {
    "name": "rollcall",
    "huey_class": "workers.batches.BatchHuey",
    "immediate": False,  # djhuey's default is DEBUG: tasks would run inside the request
    "results": False,
    "connection": {
        # A pool of its own gets no retries by default, and must not: a push that was sent twice
        # is two tasks. Time-outs stand above the consumer's blocking pop of one second.
        "connection_pool": Pool.from_url(QUEUE_URL, socket_connect_timeout=0.5, socket_timeout=2)
    },
    "consumer": {
        "workers": env.int("WORKERS", 8),
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
    "database": re.sub("^[a-z]+:", "psycopg3:", DATABASE_URL)  # peewee's name for the same driver
    + ("&" if "?" in DATABASE_URL else "?")
    + "connect_timeout=2",
    "create_tables": False,  # a migration makes them, not every process at its start
    "max_events": 200_000,
    "capture_args": False,
}

# --- HTTP --------------------------------------------------------------------------------------
BODY_MAX_BYTES = 64 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = BODY_MAX_BYTES  # the same for forms
WEBHOOK_BODY_MAX_BYTES = 1024 * 1024  # SendGrid sends its events off when it has 768 KiB of them
WEB_THREADS = env.int("WEB_THREADS", 8)  # of each web process, for everything but reads
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", 0, validate=validate.Range(min=0))  # see api.client
RATE_LIMITS = rate_limits(env, TIGHT)
METRICS_TOKEN = env.str("METRICS_TOKEN", "")
METRICS_OPEN = False  # without a token there are no metrics
# Where the processes of one web server leave what they counted; not to be shared between machines.
METRICS_DIR = Path(env.str("METRICS_DIR", "") or DATA_DIR / "metrics")
READ_REDIS_TIMEOUT = env.float("READ_REDIS_TIMEOUT", 1.0)  # seconds, for each reply
READ_REDIS_WAITING = env.int("READ_REDIS_WAITING", 10_000)  # readers that wait for one, at most
READ_MISSING_WAIT = env.float("READ_MISSING_WAIT", 0.25)  # seconds, for a profile to come back
# Seconds that a web process trusts its own copy of a profile, and that changes wait before they are
# answered; 0: there are no copies.
NEAR_COPY_AGE = env.float("NEAR_COPY_AGE", 0.02)
REST_FRAMEWORK = {
    "DEFAULT_PARSER_CLASSES": ["api.writes.json.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "api.writes.json.AlwaysJSON",
    "DEFAULT_METADATA_CLASS": None,
    "UNAUTHENTICATED_USER": None,
    "EXCEPTION_HANDLER": "api.problems.exception_handler",
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
    "PREPROCESSING_HOOKS": ["api.schema.one_spelling"],
    "POSTPROCESSING_HOOKS": ["api.schema.complete"],
}

# --- People and messages -----------------------------------------------------------------------
SESSION_LIFETIME = timedelta(days=env.int("SESSION_DAYS", 30))
DEFAULT_PHONE_REGION = env.str("DEFAULT_PHONE_REGION", None)
# Longer than the slowest delivery takes (8 s), and short enough that what a killed worker held is
# sent within a minute.
OUTBOX_LEASE = timedelta(seconds=env.int("OUTBOX_LEASE", 20))
OUTBOX_KEPT = timedelta(days=env.int("OUTBOX_KEPT_DAYS", 7))
UNCONFIRMED_KEPT = timedelta(days=env.int("UNCONFIRMED_KEPT_DAYS", 7))
IDEMPOTENCY_OPEN = timedelta(minutes=10)  # how long a sign-up may be repeated by its key
SERVICE_NAME = env.str("SERVICE_NAME", "Rollcall")
SMS_DOMAIN = env.str("SMS_DOMAIN", urlsplit(PUBLIC_URL).hostname or "localhost")

# What costs money or a person's patience. Counted in Postgres, when a message is about to be sent.
MESSAGES_A_DAY = env.int("MESSAGES_A_DAY", 5)  # to one address, for each purpose
# Between two messages to one address; twice as long after each further one.
MESSAGE_PAUSE = timedelta(seconds=env.int("MESSAGE_PAUSE", 60))
SMS_A_DAY = env.int("SMS_A_DAY", 5_000)
SMS_A_DAY_PREFIX = env.int("SMS_A_DAY_PREFIX", 500)  # to numbers whose first six characters agree
SMS_COUNTRIES: list[str] = env.list("SMS_COUNTRIES", [])  # ISO 3166-1, such as ES,PT; none: all
# No more text messages to a prefix when, of at least so many, less than this part was confirmed.
SMS_BREAKER_LEAST = env.int("SMS_BREAKER_LEAST", 20)
SMS_BREAKER_RATE = env.float("SMS_BREAKER_RATE", 0.1)

DELIVERY = env.str("DELIVERY", "mailbox")  # or "providers": SendGrid and Vonage
MAILBOX_PATH = DATA_DIR / "mailbox.jsonl"
DEV_MAILBOX_PAGE = False
PROVIDER_TIMEOUT = env.float("PROVIDER_TIMEOUT", 4.0)  # seconds, for each wait
SENDGRID_HOST = env.str("SENDGRID_HOST", "https://api.sendgrid.com")
SENDGRID_API_KEY = env.str("SENDGRID_API_KEY", "")
EMAIL_FROM = env.str("EMAIL_FROM", "")
VONAGE_HOST = env.str("VONAGE_HOST", "rest.nexmo.com")
VONAGE_API_KEY = env.str("VONAGE_API_KEY", "")
VONAGE_API_SECRET = env.str("VONAGE_API_SECRET", "")
SMS_FROM = env.str("SMS_FROM", "Rollcall")

# Delivery receipts: without its key every receipt of a provider is refused.
SENDGRID_WEBHOOK_PUBLIC_KEY = p256_key(env, "SENDGRID_WEBHOOK_PUBLIC_KEY")
VONAGE_SIGNATURE_SECRET = env.str("VONAGE_SIGNATURE_SECRET", "")
WEBHOOK_MAX_AGE = env.int("WEBHOOK_MAX_AGE", 600)  # seconds since it was signed

LOGGING = logging_config(level=env.str("LOG_LEVEL", "INFO"))
