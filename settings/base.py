"""Django's settings for all environments, with those of `settings.environment`, which the read
process shares.

A missing or malformed value stops the start with a sentence that names it.
"""

from django.utils.csp import CSP

from api import cors
from domain.model.language import SUPPORTED
from settings import validators
from settings.background_work import *  # noqa: F403  # Django has them by the same names
from settings.background_work import HUEY_DASHBOARD
from settings.catalogues import compile_catalogues
from settings.database import *  # noqa: F403  # as above
from settings.environment import *  # noqa: F403  # as above
from settings.environment import (
    BODY_MAX_BYTES,
    CORS_ALLOWED_ORIGINS,
    DEFAULT_LANGUAGE,
    IS_PRODUCTION,
    LOG_LEVEL,
    env,
)
from settings.events import *  # noqa: F403  # as above
from settings.logging_config import configure_logging
from settings.messages import *  # noqa: F403  # as above
from settings.messages import MESSAGE_TEMPLATES, PUBLIC_URL, SERVICE_NAME
from settings.people import *  # noqa: F403  # as above
from settings.rate_limits import PRODUCTION_LIMITS, parse_rate_limits

DEBUG = env.bool("DEBUG", False)  # whether errors are shown in detail; never in production
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
# The rules of api.cors, which the read process follows too.
CORS_ALLOW_METHODS = cors.ALLOWED_METHODS
CORS_ALLOW_HEADERS = cors.ALLOWED_HEADERS
CORS_ALLOW_CREDENTIALS = True
CORS_EXPOSE_HEADERS = cors.EXPOSED_HEADERS
CORS_PREFLIGHT_MAX_AGE = cors.MAX_AGE

INSTALLED_APPS = [
    "api.apps.AdminConfig",
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
    "django_otp",
    "django_otp.plugins.otp_totp",
    "huey.contrib.djhuey",
    "domain.postgres",
    "workers",
    "api",
    *(["huey.contrib.djhuey.stats"] if HUEY_DASHBOARD else []),
]
# URL of the OpenTelemetry collector that gets traces, by OTLP over HTTP; empty: none are made
OTEL_EXPORTER_OTLP_ENDPOINT = env.str("OTEL_EXPORTER_OTLP_ENDPOINT", "", validate=validators.url)
# whether no traces are made all the same; OpenTelemetry's other variables (OTEL_*) work too
OTEL_SDK_DISABLED = env.bool("OTEL_SDK_DISABLED", False)
TRACING_ENABLED = bool(OTEL_EXPORTER_OTLP_ENDPOINT) and not OTEL_SDK_DISABLED
MIDDLEWARE = [
    *(["api.writes.tracing.tracing_middleware"] if TRACING_ENABLED else []),
    "api.writes.middleware.MetricsMiddleware",
    "api.writes.middleware.request_id_middleware",
    # Before all middleware that may respond, so that web clients can read errors too.
    *(["corsheaders.middleware.CorsMiddleware"] if CORS_ALLOWED_ORIGINS else []),
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "api.writes.middleware.CommonMiddleware",
    "api.writes.middleware.ClientIPMiddleware",
    "api.writes.middleware.ProblemDetailsMiddleware",
    "api.writes.rate_limiting.rate_limit_middleware",
    "api.writes.middleware.RequestBodyMiddleware",
    "api.writes.middleware.AbandonedRequestMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "api.writes.middleware.AdminSessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "api.writes.middleware.AdminAuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",  # only if there is a user: in the admin
    "api.writes.middleware.AdminMessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "api.urls"
APPEND_SLASH = False  # a redirect would lose the body; both spellings are routes instead
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [MESSAGE_TEMPLATES] if MESSAGE_TEMPLATES else [],  # for the confirmation page
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
compile_catalogues()
LANGUAGE_CODE = DEFAULT_LANGUAGE
LANGUAGES = [(code, code) for code in SUPPORTED]
TIME_ZONE = "UTC"
STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True  # no collectstatic: files are found in the packages at the start
CSRF_FAILURE_VIEW = "api.writes.error_handlers.forbidden"
# Not "no-referrer": browsers then send forms with `Origin: null`, and staff could not log in.
SECURE_REFERRER_POLICY = "same-origin"
# Of responses that are no page (OWASP REST Security Cheat Sheet); those of pages: api.pages.csp.
SECURE_CSP = {"default-src": [CSP.NONE], "frame-ancestors": [CSP.NONE]}

# --- Staff -------------------------------------------------------------------------------------
# whether the admin requires the code of an authenticator app: on in production
ADMIN_OTP_REQUIRED = env.bool("ADMIN_OTP_REQUIRED", IS_PRODUCTION)
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in {
        "MinimumLengthValidator": {"min_length": 15},  # NIST SP 800-63B-4 section 3.1.1.2
        "CommonPasswordValidator": {},
        "UserAttributeSimilarityValidator": {},
    }.items()
]
SESSION_COOKIE_AGE = 12 * 3600  # seconds; NIST SP 800-63B-4 section 2.2.3: at most 24 hours
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
OTP_TOTP_ISSUER = SERVICE_NAME  # in authenticator apps

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
    "COMPONENT_SPLIT_PATCH": False,  # the body of PATCH has a class and a name of its own
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # No validator: it would send the address of the document to swagger.io.
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,  # they would repeat the values
    "POSTPROCESSING_HOOKS": ["api.writes.openapi.complete_document"],
}

LOGGING = configure_logging(level=LOG_LEVEL)
